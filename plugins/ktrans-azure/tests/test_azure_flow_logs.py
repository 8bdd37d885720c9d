"""Growing hour blobs: what is read of them, when, and how often."""

import json
from collections import Counter
from datetime import timedelta

import pytest
from ktrans_azure.blob_source_config import AzureBlobSourceConfig
from ktrans_azure.build_source import build

from ktrans.api import Budget, Context, SplitChangedError
from ktrans.testing.contracts.sources import PlainMemory, SourceCase, SourceContract, read

pytestmark = pytest.mark.service("azurite")
HOUR = timedelta(hours=1)


class Reader:
    """A source with what the engine keeps for it between epochs."""

    def __init__(self, world, now, **options):
        self.config = AzureBlobSourceConfig(**world.options(**options))
        self.now = now
        self.memory = PlainMemory()
        self.position = None
        self.plans = []

    def source(self):
        source = build(self.config, Context())
        source.now = lambda: self.now
        return source

    def plan(self, budget=None):
        with self.source() as source:
            return source.plan(self.position, self.memory, budget or Budget())

    def epoch(self, budget=None) -> dict[str, bytes] | None:
        """Plan, read and record one epoch in a process of its own; the bytes by blob."""
        with self.source() as source:
            plan = source.plan(self.position, self.memory, budget or Budget())
            if plan is None:
                return None
            data = {split.data["key"]: read(source, split) for split in plan.splits}
            if plan.splits:
                self.memory.record(plan)
                self.position = json.loads(json.dumps(plan.position))
                source.commit(plan)
            self.plans.append(plan)
            return data


@pytest.fixture
def reader(world, noon):
    return Reader(world, noon + timedelta(minutes=30))


def test_each_minutes_block_is_read_once_and_the_closer_never(world, reader, noon):
    blob = world.hour(noon).grow()
    assert reader.epoch() == {blob.name: blob.data}
    for _ in range(3):
        blob.grow()
        assert reader.epoch() == {blob.name: blob.minutes[-1]}
        assert reader.epoch() is None
    blob.grow().grow()
    assert reader.epoch() == {blob.name: b"".join(blob.minutes[-2:])}


def test_a_blob_without_records_is_nothing_to_read(world, reader, noon):
    blob = world.hour(noon).open()
    assert reader.epoch() is None
    blob.grow()
    assert reader.epoch() == {blob.name: blob.data}


def test_a_split_gives_its_bytes_even_when_the_blob_grew_since(world, reader, noon):
    blob = world.hour(noon).grow()
    plan = reader.plan()
    before = blob.data
    blob.grow()
    with reader.source() as source:
        assert read(source, plan.splits[0]) == before
        with source.open(plan.splits[0]) as payload, payload.open() as stream:
            first = stream.read(5)
            blob.grow()
            assert first + stream.read() == before


def test_a_blob_that_grows_between_two_pieces_is_read_on(world, noon):
    reader = Reader(world, noon, part_size=1 << 16, parallel_reads=1)
    blob = world.hour(noon).grow(tuples=6000)
    (split,) = reader.plan().splits
    before = blob.data
    assert len(before) > 10 << 16
    with reader.source() as source, source.open(split) as payload, payload.open() as stream:
        out = stream.read(100)
        while piece := stream.read(1 << 18):
            blob.grow(tuples=1)
            out += piece
    assert out == before


def test_a_split_of_a_rewritten_blob_cannot_be_opened(world, reader, noon):
    blob = world.hour(noon).grow()
    (split,) = reader.plan().splits
    blob.rewrite()
    with reader.source() as source, pytest.raises(SplitChangedError, match="rewritten"):
        read(source, split)


def test_a_blob_that_is_gone_is_said_to_be_gone(world, reader, noon):
    blob = world.hour(noon).grow()
    (split,) = reader.plan().splits
    blob.client.delete_blob()
    with reader.source() as source, pytest.raises(SplitChangedError, match="gone") as caught:
        read(source, split)
    assert caught.value.code == "split_vanished"


def test_a_rewritten_blob_is_read_again_from_its_start_and_noted(world, reader, noon):
    blob = world.hour(noon).grow()
    reader.epoch()
    blob.rewrite()
    assert reader.epoch() == {blob.name: blob.data}
    assert "rewritten" in reader.plans[-1].notes[0]
    blob.grow()
    assert reader.epoch() == {blob.name: blob.minutes[-1]}


def test_a_rewritten_blob_may_be_an_error_or_be_left(world, noon):
    now = noon + timedelta(minutes=30)
    strict, lenient = (
        Reader(world, now, on_replaced="error"),
        Reader(world, now, on_replaced="skip"),
    )
    blob = world.hour(noon).grow()
    strict.epoch()
    lenient.epoch()
    blob.rewrite()
    with pytest.raises(SplitChangedError) as caught:
        strict.epoch()
    assert caught.value.code == "blob_replaced"
    assert lenient.epoch() == {}
    assert "rewritten" in lenient.plans[-1].notes[0]


def test_a_blob_put_in_one_piece_is_read_as_a_whole(world, reader, noon):
    blob = world.hour(noon)
    blob.client.upload_blob(b'{"records":[{"a":1}]}', overwrite=True)
    assert reader.epoch() == {blob.name: b'{"records":[{"a":1}]}'}
    assert reader.epoch() is None
    blob.client.upload_blob(b'{"records":[{"a":1},{"a":2}]}', overwrite=True)
    assert reader.epoch() == {blob.name: b'{"records":[{"a":1},{"a":2}]}'}


def test_every_spelling_of_the_path_is_found(world, reader, noon, roots):
    blobs = [world.hour(noon, root).grow() for root in roots]
    blobs.append(world.hour(noon, roots[1], mac="00-22-48-a1-b2-c4").grow())
    blobs.append(world.hour(noon, roots[2], spell=str.upper).grow())
    world.container.upload_blob("elsewhere/y=2026/notes.txt", b"no flow log")
    world.container.upload_blob(f"{roots[0]}y=2026/m=02/d=16/h=12/readme", b"nor this")
    assert reader.epoch() == {blob.name: blob.data for blob in blobs}


def test_a_prefix_narrows_what_is_read(world, noon, roots):
    wanted = world.hour(noon, roots[2]).grow()
    world.hour(noon, roots[1]).grow()
    other = world.hour(noon - 24 * HOUR, roots[2]).grow()
    now = noon + HOUR
    by_log = Reader(world, now, prefix=roots[2][:60])
    assert set(by_log.epoch()) == {wanted.name, other.name}
    by_day = Reader(world, now, prefix=f"{roots[2]}y=2026/m=02/d=16/")
    assert set(by_day.epoch()) == {wanted.name}


def test_the_hour_rolls_over_and_is_closed_after_its_grace(world, reader, noon):
    first = world.hour(noon).grow()
    reader.epoch()
    reader.now = noon + HOUR + timedelta(minutes=5)
    second = world.hour(noon + HOUR).grow()
    first.grow()  # Azure is late
    assert reader.epoch() == {first.name: first.minutes[-1], second.name: second.data}
    assert len(reader.memory) == 2
    reader.now = noon + 3 * HOUR + timedelta(minutes=5)
    third = world.hour(noon + 3 * HOUR).grow()
    assert reader.epoch() == {third.name: third.data}
    assert reader.position["from"] == (noon + HOUR).isoformat()
    assert len(reader.memory) == 2
    first.grow()
    assert reader.epoch() is None, "a closed hour is not looked at"


def test_state_stays_bounded_over_many_days(world, reader, noon):
    everything = {}
    for day in range(6):
        for hour in (0, 5, 23):
            reader.now = noon + timedelta(days=day, hours=hour, minutes=3)
            blob = world.hour(noon + timedelta(days=day, hours=hour)).grow()
            everything[blob.name] = blob.data
            assert reader.epoch() == {blob.name: blob.data}
            assert len(reader.memory) <= 2
            assert len(json.dumps(reader.position)) < 200


def test_only_open_hours_are_listed(world, reader, noon, monkeypatch):
    for day in range(5):
        world.hour(noon - timedelta(days=day)).grow()
    assert len(reader.epoch()) == 5
    asked = []
    from ktrans_azure.blob_container import BlobContainer

    plain = BlobContainer.list
    monkeypatch.setattr(
        BlobContainer, "list", lambda self, p, a="": asked.append(p) or plain(self, p, a)
    )
    world.blobs[0].grow()
    reader.epoch()
    asked.clear()
    reader.now += timedelta(minutes=1)
    world.blobs[0].grow()
    assert len(reader.epoch()) == 1
    assert len(asked) == 3
    assert all("/h=" in prefix for prefix in asked)


def test_a_log_that_is_newly_set_up_is_found_before_its_hour_is_closed(world, reader, noon, roots):
    reader.config = AzureBlobSourceConfig(**world.options(discover_interval=1e6))
    with reader.source() as source:

        def epoch():
            plan = source.plan(reader.position, reader.memory, Budget())
            if plan is None:
                return None
            reader.memory.record(plan)
            reader.position = plan.position
            return {split.data["key"] for split in plan.splits}

        source.now = lambda: reader.now
        known = world.hour(noon, roots[1]).grow()
        assert epoch() == {known.name}
        fresh = world.hour(noon, roots[2]).grow()
        assert epoch() is None
        reader.now = noon + 3 * HOUR
        assert epoch() == {fresh.name}


def test_a_backlog_is_read_oldest_first_within_the_budget(world, reader, noon, roots):
    hours = [noon - HOUR * n for n in (400, 399, 30, 2, 0)]
    blobs = [world.hour(hour, root).grow() for hour in reversed(hours) for root in roots[:2]]
    seen = []
    while (data := reader.epoch(Budget(splits=3))) is not None:
        assert 0 < len(data) <= 3
        seen += data.items()
    assert Counter(seen) == Counter((b.name, b.data) for b in blobs)
    stamps = [name.split("/y=")[1][:25] for name, _ in seen]
    assert stamps == sorted(stamps)


def test_a_large_blob_is_read_in_parts_of_whole_blocks(world, reader, noon):
    blob = world.hour(noon)
    for _ in range(6):
        blob.grow(tuples=20)
    size = len(blob.minutes[0])
    parts = []
    while (data := reader.epoch(Budget(bytes=size * 2 + 100))) is not None:
        parts.append(data[blob.name])
    assert b"".join(parts) == blob.data
    assert len(parts) == 3


def test_reading_begins_at_since_or_from(world, noon):
    old, new = world.hour(noon - 48 * HOUR).grow(), world.hour(noon).grow()
    now = noon + timedelta(minutes=5)
    assert set(Reader(world, now, since=noon - HOUR).epoch()) == {new.name}
    reader = Reader(world, now)
    with reader.source() as source:
        reader.position = source.position_from("2026-02-16T11:30:00")
    assert set(reader.epoch()) == {new.name}
    assert old.name not in reader.memory


def test_what_cannot_be_read_does_not_hold_its_hour_open(world, reader, noon):
    """The blob is carried on by name, is tried by each run, and is read in the end."""
    bad, good = world.hour(noon).grow(), world.hour(noon, mac="000000000001").grow()
    key = f"{world.name}/{bad.name}"
    reader.now = noon + 5 * HOUR
    skip = Budget(skip=frozenset({key}))
    assert reader.epoch(skip) == {good.name: good.data}
    world.hour(noon + 5 * HOUR).grow()
    assert len(reader.epoch(skip)) == 1
    assert reader.position == {"from": (noon + 3 * HOUR).isoformat(), "late": [bad.name]}
    assert len(reader.memory) == 1
    assert reader.epoch(skip) is None
    assert reader.epoch() == {bad.name: bad.data}
    world.hour(noon + 5 * HOUR, mac="000000000002").grow()
    assert len(reader.epoch()) == 1
    assert reader.position["late"] == []
    assert set(reader.memory) == {f"{world.name}/{b.name}" for b in world.blobs[2:]}


def test_the_account_is_only_read(world, reader, noon):
    """A signature with nothing but Read and List is enough."""
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    blob = world.hour(noon).grow()
    sas = generate_container_sas(
        world.azurite.account,
        world.name,
        account_key=world.azurite.key,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=noon.replace(year=2100),
    )
    reader.config = AzureBlobSourceConfig(
        container=world.name, endpoint=world.azurite.blob_url, sas_token=sas, layout="flow_logs"
    )
    assert reader.epoch() == {blob.name: blob.data}
    assert "sig" not in reader.plans[0].splits[0].uri


class Case(SourceCase):
    def __init__(self, world, now):
        self.world, self.now = world, now

    def build(self):
        source = build(AzureBlobSourceConfig(**self.world.options()), Context())
        source.now = lambda: self.now
        return source


class TestContract(SourceContract):
    covers = ("azure_blob",)

    """A year-old hour, yesterday and today, several interfaces."""

    @pytest.fixture
    def case(self, world, noon, roots):
        for hour in (noon - 9000 * HOUR, noon - 24 * HOUR, noon):
            for root in roots[:2]:
                world.hour(hour, root).grow().grow()
        return Case(world, noon + timedelta(minutes=20))
