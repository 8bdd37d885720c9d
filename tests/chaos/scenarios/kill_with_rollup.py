"""SIGKILL while a rollup holds totals open over several epochs.

Where the lateness covers all logs, each total has to come once, as in an undisturbed run. With none,
rows that are late come as corrections: then the sums over a window and group may not differ.
"""

import json

from tests.chaos.world import Chaos, World, equal, expect

SUMS = ("bytes", "packets", "flows")


def run(chaos: Chaos) -> None:
    """Kill runs with a rollup, then close all windows."""
    chaos.logs(chaos.many(12, 60))
    late = chaos.chance.choice(("4d", "0s"))
    world, clean = chaos.world(), chaos.world("clean")
    for each, flush in ((world, "never"), (clean, "at_end")):
        each.tree["enrichers"] = [
            {
                "type": "rollup",
                "window": "1h",
                "group_by": ["dst_port", "action"],
                "aggregates": {
                    "bytes": "sum",
                    "packets": "sum",
                    "flows": "count",
                    "largest": {"max": "bytes"},
                    "peers": {"distinct": "src_addr"},
                },
                "lateness": late,
                "flush": flush,
            }
        ]
        del each.tree["sinks"][0]
    clean.undisturbed()
    chaos.kill_runs(world, chaos.many(2, 30), clean.whole)
    world.tree["enrichers"][0]["flush"] = "at_end"
    world.undisturbed()
    if late == "4d":
        equal(world.texts("lines", ("revision",)), clean.texts("lines", ("revision",)), "totals")
    equal(sums(world), sums(clean), "sums")
    equal(world.rejects(), clean.rejects(), "rejects")
    equal(world.hidden(), [], "left in hidden folders")
    rows, _ = world.balance()
    equal(sum(flows for _, _, flows in sums(world).values()), rows, "rows in the totals")
    expect(rows == chaos.files * 100, f"{rows} rows")


def sums(world: World) -> dict[tuple[str, int, str], tuple[int, ...]]:
    """Return the sums by window and group, corrections added."""
    found: dict[tuple[str, int, str], tuple[int, ...]] = {}
    for text, count in world.texts("lines").items():
        row = json.loads(text)
        key = row["window_start"], row["dst_port"], row["action"]
        before = found.get(key, (0, 0, 0))
        added = [count * row[name] for name in SUMS]
        found[key] = tuple(a + b for a, b in zip(before, added, strict=True))
    return found
