"""The tables of docs/scaling.md, of the figures of bench_scale.py and bench.py.

The last one computes what a petabyte a day takes. It is of AWS v2 text, whose rows take so many bytes in
the input of the benchmarks, in objects of 10 MB before compression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from report import about, rate

NOT_YET = "Not measured yet.\n"
DAY_SECS = 86_400
DAILY_BYTES = 10**15
ROW_BYTES, ROW_GZIP_BYTES = 112, 29
OBJECT_BYTES = 10_000_000
EPOCH_BYTES = 512 << 20
RUNS_A_DAY = 288
PRICE_OF_A_MILLION_LISTS = 5
_SAMPLES = 5


def block(scale: dict[str, Any], results: dict[str, Any], name: str) -> str:
    """Return the Markdown of a block."""
    if name == "machine":
        return about(scale) + "\n" if scale else NOT_YET
    cases = scale.get("cases", {})
    if name == "plan":
        return _plan(cases["plan"]) if "plan" in cases else NOT_YET
    if name == "listing":
        return _listing(cases["listing"]) if "listing" in cases else NOT_YET
    if name == "state":
        states = [case for key, case in cases.items() if key.startswith("state-")]
        return _state(states) if states else NOT_YET
    if name == "year":
        return _year(cases["year"]) if "year" in cases else NOT_YET
    if name == "petabyte":
        figures = _figures(cases, results)
        return _petabyte(**figures) if figures else NOT_YET
    raise ValueError(f"docs/scaling.md has no block {name!r}")


def _plan(case: dict[str, Any]) -> str:
    rows = [["objects so far", "objects a CPU second", "state, MB", "memory, MB"]]
    rows += [
        [
            f"{step['objects']:,}",
            f"{step['objects_a_cpu_sec']:,.0f}",
            f"{step['state_mb']:,.0f}",
            f"{step['rss_mb']:,.0f}",
        ]
        for step in _some(case["steps"])
    ]
    each = 1e6 / case["objects"]
    requests = sum(case["requests"].values())
    return _table(rows) + (
        f"\n{case['objects']:,} objects below {case['prefixes']:,} prefixes, in {case['epochs']:,} "
        f"epochs: {case['cpu_secs']:,.0f} CPU s in all, {case['rss_mb']:,.0f} MB at most. An object "
        f"takes {case['plan_cpu_secs'] * each:.0f} µs to plan ({case['listing_alone_cpu_secs'] * each:.0f} "
        f"of them are the simulated listing's own) and {case['record_cpu_secs'] * each:.0f} µs to "
        f"record. A real bucket would have answered {requests:,} requests. The first plan of a "
        f"process takes {case['first_plan_cpu_secs']:.1f} CPU s, of {case['prefixes']:,} prefixes.\n"
    )


def _listing(case: dict[str, Any]) -> str:
    rows = [["layout", "looks into folders", "listings", "objects listed", "CPU s"]]
    rows += [
        [
            *(f"`{look['layout']}`", f"{look['requests'].get('level', 0):,}"),
            *(f"{look['requests'].get('list', 0):,}", f"{look['listed']:,}"),
            f"{look['cpu_secs']:.1f}",
        ]
        for look in case["nothing_new"]
    ]
    return _table(rows) + (
        f"\n{case['prefixes']:,} prefixes by account and region, {case['objects']:,} objects.\n"
    )


def _state(cases: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            *(
                "store",
                "look-back",
                "objects a day",
                "days",
                "remembered, MB",
                "state, MB: day 1, 2, last",
            ),
            *("written a day, MB", "plan, CPU s a day", "record, CPU s a day", "open, CPU s"),
            "memory, MB",
        ]
    ]
    for case in cases:
        steps = case["steps"]
        last = steps[-1]
        sizes = ", ".join(f"{steps[at]['state_mb']:,.0f}" for at in (0, 1, -1))
        written = f"{last['written_mb']:,.0f}" if "written_mb" in last else ""
        rows.append(
            [
                *(case["store"], case["lookback"], f"{last['objects']:,}", str(case["days"])),
                *(f"{last['remembered_mb']:,.1f}", sizes, written),
                *(f"{last['plan_cpu_secs']:.0f}", f"{last['record_cpu_secs']:.0f}"),
                *(f"{case['open_cpu_secs']:.2f}", f"{case['rss_mb']:,.0f}"),
            ]
        )
    sweeps = round(cases[0]["sweeps"] / cases[0]["days"])
    return _table(rows) + f"\n{cases[0]['accounts']:,} accounts, {sweeps} runs a day.\n"


def _year(case: dict[str, Any]) -> str:
    rows = [
        ["day", "objects so far", "remembered", "epochs kept", "state, MB", "plan, CPU s a day"]
    ]
    objects = 0
    days = _spaced(len(case["steps"]))
    for at, step in enumerate(case["steps"]):
        objects += step["objects"]
        if at in days:
            rows.append(
                [
                    *(str(step["day"]), f"{objects:,}", f"{step['remembered']:,}"),
                    *(f"{step['epochs_kept']:,}", f"{step['state_mb']:,.1f}"),
                    f"{step['plan_cpu_secs']:.2f}",
                ]
            )
    return _table(rows) + (
        f"\n{case['accounts']} accounts, {case['epochs']:,} epochs. After {case['days']} days the "
        f"state opens in {case['open_cpu_secs']:.3f} CPU s, and the next epoch is planned in "
        f"{case['next_plan_cpu_secs']:.2f}.\n"
    )


def _figures(cases: dict[str, Any], results: dict[str, Any]) -> dict[str, float]:
    """Return what a petabyte a day is computed from; nothing if a part was not measured."""
    found = results.get("cases", {}).get("v2-parquet")
    ours = found["contenders"][0] if found else {"rounds": []}
    needed = ("plan", "listing", "state-sqlite")
    if not ours["rounds"] or any(name not in cases for name in needed):
        return {}
    plan, listing, state = (cases[name] for name in needed)
    look = listing["nothing_new"][-1]
    last = state["steps"][-1]
    planned = plan["plan_cpu_secs"] + plan["record_cpu_secs"]
    return {
        "rows_a_cpu_sec": rate(ours).middle,
        "objects_a_cpu_sec": plan["objects"] / planned,
        "record_secs": plan["record_cpu_secs"] / plan["epochs"],
        "epoch_objects": plan["objects"] / plan["epochs"],
        "bytes_an_object": last["remembered_mb"] * 1e6 / last["remembered"],
        "lists_a_run": sum(look["requests"].values()),
        "prefixes": listing["prefixes"],
    }


def _petabyte(
    *,
    rows_a_cpu_sec: float,
    objects_a_cpu_sec: float,
    record_secs: float,
    epoch_objects: float,
    bytes_an_object: float,
    lists_a_run: float,
    prefixes: float,
) -> str:
    rows_a_sec = DAILY_BYTES / ROW_BYTES / DAY_SECS
    objects = DAILY_BYTES / OBJECT_BYTES
    stored = DAILY_BYTES * ROW_GZIP_BYTES / ROW_BYTES
    epochs = stored / EPOCH_BYTES / DAY_SECS
    commits = 1 / (record_secs * (objects / DAY_SECS / epochs) / epoch_objects)
    state = objects * bytes_an_object
    lists = lists_a_run * RUNS_A_DAY
    rows = [
        ["what", "measured here", "a petabyte a day needs", "so it takes"],
        [
            "rows",
            f"{rows_a_cpu_sec / 1e6:.2f} M a CPU second",
            f"{rows_a_sec / 1e6:.0f} M a second",
            f"{rows_a_sec / rows_a_cpu_sec:,.0f} cores that do nothing else: machines, not one machine",
        ],
        [
            "network",
            "",
            f"{stored / DAY_SECS / 1e9:.1f} GB a second of gzip to read",
            "as many machines as it takes at what one of them gets from the store",
        ],
        [
            "state within a look-back of a day",
            f"{bytes_an_object:,.0f} bytes an object",
            f"{objects / 1e6:.0f} M objects, {state / 1e9:.0f} GB",
            (
                f"{max(1, round(state / 1e9))} or more pipelines with less than 1 GB each, or a look-back "
                f"of an hour ({state / 24 / 1e9:.1f} GB)"
            ),
        ],
        [
            "listing",
            f"{lists_a_run:,.0f} requests a run below {prefixes:,.0f} prefixes",
            (
                f"{lists / 1e6:.0f} M requests a day with a run every five minutes, about "
                f"{lists / 1e6 * PRICE_OF_A_MILLION_LISTS:,.0f} USD"
            ),
            "notifications (`sqs`, `pubsub`) instead of listing, or fewer prefixes a pipeline",
        ],
        [
            "planning and recording",
            f"{objects_a_cpu_sec:,.0f} objects a CPU second",
            f"{objects / DAY_SECS:,.0f} objects a second",
            f"{objects / DAY_SECS / objects_a_cpu_sec:.2f} cores in all",
        ],
        [
            "epochs of 512 MiB",
            f"{commits:.0f} recorded a CPU second",
            f"{epochs:.1f} a second",
            "one after another in a pipeline: raise `epoch_size`, or take more pipelines",
        ],
    ]
    return _table(rows, texts=len(rows[0]))


def _some(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [step for at, step in enumerate(steps) if at in _spaced(len(steps))]


def _spaced(count: int) -> set[int]:
    """Return some positions, the first and the last among them."""
    return {round(n * (count - 1) / _SAMPLES) for n in range(_SAMPLES + 1)}


def _table(rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    line = "|---" * texts + "|---:" * (len(rows[0]) - texts) + "|"
    return "\n".join(["", head, line, *body, ""])
