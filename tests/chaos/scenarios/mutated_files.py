"""Damaged Parquet, Avro, gzip and text files beside good ones, and kills.

Allowed: exit 65, since an object may be unreadable. No run may die of a signal of its own or of a defect,
every record is accounted for, and the good files arrive as if they were alone.
"""

import io
from collections import Counter

import fastavro

from tests.chaos.world import Chaos, equal, expect
from tests.fuzz.mutations import damaged
from tests.fuzz.samples import samples

LOGS = ("aws_vpc", "auto")
CAPTURE = {"type": "record", "name": "EventData", "fields": [{"name": "Body", "type": "bytes"}]}


def run(chaos: Chaos) -> None:
    """Run over good and damaged files."""
    chance = chaos.chance
    chaos.logs(chaos.many(4, 10))
    decoder = chance.choice(LOGS)
    world, clean = chaos.world(), chaos.world("clean")
    for each in (world, clean):
        each.tree["decoder"] = {"type": decoder}
        each.tree["engine"].update(epoch_splits=20, max_quarantined=100_000, attempts=1)
    clean.undisturbed()
    for number in range(chaos.many(30, 400)):
        (chaos.folder / "logs" / f"bad-{number:04}").write_bytes(bad(chaos, decoder))
    for _ in range(chaos.many(1, 8)):
        code = world.killed(chance, clean.whole * 3)
        expect(code in {None, 0, 65}, f"exit {code}: {world.output()}")
    code = world.once()
    expect(code in {0, 65}, f"exit {code}: {world.said}")
    good = clean.lines()
    uris = {key[0] for key in good}
    equal(Counter({k: n for k, n in world.lines().items() if k[0] in uris}), good, "good rows")
    equal(world.balance()[0], world.lake().total(), "rows in the ledger and in the lake")
    equal(world.hidden(), [], "left in hidden folders")


def bad(chaos: Chaos, decoder: str) -> bytes:
    """Return a damaged file."""
    sample = chaos.chance.choice(samples()[decoder])
    if chaos.chance.random() < 0.3:
        made = io.BytesIO()
        fastavro.writer(made, CAPTURE, [{"Body": sample[:5000]}], codec="deflate")
        sample = made.getvalue()
    return damaged(chaos.chance, sample)
