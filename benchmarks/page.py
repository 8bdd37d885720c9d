"""Writes measured figures into pages: tables and plots between the marks of a page.

    python benchmarks/page.py [--results RESULTS.json] [--scale SCALE.json]

A page of `docs/` says where they belong:

    <!-- measured: NAME -->
    (replaced)
    <!-- /measured -->

NAME is one of `TABLES`, a case, `machine` or `summary`; in `docs/scaling.md` one of `scale_tables.py`.
Results that are given, if they exist, first become `benchmarks/results.json` and
`benchmarks/scale.json`, from which the pages can be written again.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plots
import scale_tables
from report import Spread, about, against, figure, rate

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
BLOCK = re.compile(r"(<!-- measured: ([\w-]+) -->\n).*?(<!-- /measured -->)", re.DOTALL)
NOT_YET = "Not measured yet.\n"
TOOLS = {
    "ktrans": "ktrans",
    "ktrans, native": "ktrans, native",
    "duckdb": "DuckDB",
    "polars": "Polars",
    "python": "row loop",
}

Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page, and its plot.

    Attributes:
        title: for the plot's text alternative.
        cases: by name.
        side_by_side: a row for each case and a column for each tool; else a row for each contender.
        plot: what the bars show: `cpu_secs` or `wall_secs` (rows a second), or `rss_mb`.
    """

    title: str
    cases: tuple[str, ...]
    side_by_side: bool = False
    plot: str = "cpu_secs"


TABLES = {
    "formats": Table(
        "Rows a CPU second by tool",
        (
            *("v2-same", "v2-parquet", "v5-ten", "v5-parquet", "v2-jsonl-same", "v2-jsonl"),
            *("v2-influx", "small-objects", "azure-parquet", "gcp-ten", "gcp-parquet"),
        ),
        side_by_side=True,
    ),
    "rollups": Table(
        "Rows a CPU second of rollups",
        ("rollup-100", "rollup-100k", "rollup-1m"),
        side_by_side=True,
    ),
    "executors": Table(
        "Rows a second by executor", ("executors", "executors-gcp", "s3-s3"), plot="wall_secs"
    ),
    "servers": Table(
        "Units a CPU second between servers", ("s3-kafka", "s3-influxdb", "small-objects-s3")
    ),
    "memory": Table("Peak memory as the input grows", ("memory",), plot="rss_mb"),
}
PLOTTED = {
    "cpu_secs": "{unit} a CPU second",
    "wall_secs": "{unit} a second",
    "rss_mb": "peak memory, MB",
    "start": "milliseconds",
}


def main() -> None:
    """Write the pages anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="of bench.py")
    parser.add_argument("--scale", type=Path, help="of bench_scale.py")
    args = parser.parse_args()
    if args.results and args.results.exists():
        results = merged(kept_results("results.json"), json.loads(args.results.read_text()))
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    if args.scale and args.scale.exists():
        shutil.copy(args.scale, HERE / "scale.json")
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    folder = DOCS / "performance"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    results = kept_results("results.json")
    for name in blocks(DOCS / "performance.md"):
        if drawing := plot(results, name):
            (folder / f"{name}.svg").write_text(drawing, encoding="utf-8")


def merged(kept: Results, new: Results) -> Results:
    """Return new results; of some cases only, from the same machine, in the place of those kept."""
    if not set(new["cases"]) < set(kept.get("cases", ())):
        return new
    if {**new["machine"], "load": 0} != {**kept["machine"], "load": 0}:
        return new
    later = {
        "taken": new["taken"],
        "load": new["machine"]["load"],
        "titles": [case["title"] for case in new["cases"].values()],
    }
    cases = {**kept["cases"], **new["cases"]}
    return {**kept, "cases": cases, "later": [*kept.get("later", []), later]}


def pages() -> dict[Path, str]:
    """Return the pages as they are with the figures that are kept."""
    results, scale = kept_results("results.json"), kept_results("scale.json")
    writers: dict[str, Callable[[str], str]] = {
        "performance.md": lambda name: block(results, name),
        "scaling.md": lambda name: scale_tables.block(scale, results, name),
    }
    found = {}
    for name, write in writers.items():
        path = DOCS / name
        if path.exists():
            text = path.read_text(encoding="utf-8")
            found[path] = BLOCK.sub(lambda m, write=write: m[1] + write(m[2]) + m[3], text)
    return found


def kept_results(name: str) -> Results:
    """Return the results that the pages show; none if nothing was measured yet."""
    path = HERE / name
    return dict(json.loads(path.read_text())) if path.exists() else {}


def blocks(path: Path) -> list[str]:
    """Return the names of the blocks of a page."""
    return [match[2] for match in BLOCK.finditer(path.read_text(encoding="utf-8"))]


def block(results: Results, name: str) -> str:
    """Return the Markdown of a block of docs/performance.md."""
    if not results:
        return NOT_YET
    if name == "machine":
        return about(results) + "\n"
    if name == "summary":
        return summary(results) + "\n"
    table = table_of(name)
    cases = measured(results, table)
    if not cases:
        return NOT_YET
    lines = side_by_side(cases) if table.side_by_side else one_below_the_other(cases)
    picture = f"![{table.title}](performance/{name}.svg)"
    return "\n".join(["", *lines, "", picture, "", *_notes(cases)])


def table_of(name: str) -> Table:
    """Return a table; any case makes one of its own."""
    if name in TABLES:
        return TABLES[name]
    return Table(name.replace("-", " ").capitalize(), (name,))


def measured(results: Results, table: Table) -> list[dict[str, Any]]:
    """Return the cases of a table that were measured, without contenders that failed."""
    found = []
    for name in table.cases:
        case = results["cases"].get(name)
        done = [entry for entry in case["contenders"] if entry["rounds"]] if case else []
        if case and done:
            found.append({**case, "contenders": done})
    return found


# -- tables -----------------------------------------------------------------------------------


def side_by_side(cases: Sequence[dict[str, Any]]) -> list[str]:
    """Return a row for each case, a column for each tool, and the ratios of ours to DuckDB."""
    tools = [name for name in TOOLS if any(_entry(case, name) for case in cases)]
    ours = [name for name in tools if name.startswith("ktrans")]
    rows = [
        [
            "rows a CPU second: median (lowest to highest)",
            *(TOOLS[name] for name in tools),
            *(f"CPU of {name}, DuckDB = 1" for name in ours),
        ]
    ]
    for case in cases:
        cells = [_rate(entry) if (entry := _entry(case, name)) else "" for name in tools]
        peer = _entry(case, "duckdb")
        ratios = [
            _spread(against(entry, peer), 2) if (entry := _entry(case, name)) and peer else ""
            for name in ours
        ]
        rows.append([case["title"], *cells, *ratios])
    return _table(rows, 1)


def one_below_the_other(cases: Sequence[dict[str, Any]]) -> list[str]:
    """Return a row for each contender of each case."""
    counted = any(entry["rows"] for case in cases for entry in case["contenders"])
    many = len(cases) > 1
    speed = ["a CPU second", "a second"] if counted else []
    head = [*speed, "CPU s", "wall s", "memory, MB", "CPU, first = 1", "wall, first = 1"]
    rows = [[*(["case"] if many else []), "", *head]]
    for case in cases:
        first = case["contenders"][0]
        for entry in case["contenders"]:
            speed = [_rate(entry), _rate(entry, "wall_secs")] if counted else []
            rows.append(
                [
                    *([case["title"]] if many else []),
                    entry["name"],
                    *speed,
                    _spread(figure(entry, "cpu_secs"), 2),
                    _spread(figure(entry, "wall_secs"), 2),
                    _spread(figure(entry, "rss_mb"), 0),
                    _spread(against(entry, first), 2),
                    _spread(against(entry, first, "wall_secs"), 2),
                ]
            )
    return _table(rows, 2 if many else 1)


def summary(results: Results) -> str:
    """Return the main ratios as a sentence."""
    said, shares = [], []
    for name, what in (("v2-same", "to Parquet"), ("v2-jsonl-same", "to JSON lines")):
        found = measured(results, Table("", (name,)))
        ours, peer = (_entry(found[0], tool) if found else None for tool in ("ktrans", "duckdb"))
        if ours and peer:
            said.append(f"{against(ours, peer).middle:.2f} times the CPU time of DuckDB {what}")
    for name, what in (("v2-same", "AWS"), ("gcp-parquet", "Google Cloud")):
        found = measured(results, Table("", (name,)))
        fast, plain = (
            _entry(found[0], tool) if found else None for tool in ("ktrans, native", "ktrans")
        )
        if fast and plain:
            shares.append(f"{against(fast, plain).middle:.2f} ({what})")
    loop = measured(results, Table("", ("v2-parquet",)))
    text = ""
    if said:
        text = (
            "With the same 14 columns of AWS logs on both sides, and all fields checked, ktrans "
            f"takes {', and '.join(said)}."
        )
    if shares:
        text += " With its [native code](native.md) the CPU time of ktrans is "
        text += f"{' and '.join(shares)} of that without it."
    if loop and (row_loop := _entry(loop[0], "python")) and (ours := _entry(loop[0], "ktrans")):
        text += f" A loop over rows takes {against(row_loop, ours).middle:.1f} times the CPU time of ktrans."
    return text or NOT_YET.strip()


def _entry(case: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((entry for entry in case["contenders"] if entry["name"] == name), None)


def _notes(cases: Sequence[dict[str, Any]]) -> list[str]:
    """Return what to know of the cases as a list; what several share is said once."""
    notes: dict[str, list[str]] = {}
    for case in cases:
        if case["note"]:
            notes.setdefault(case["note"], []).append(case["title"])
    if len(cases) == 1:
        return [f"{note}\n" for note in notes]
    said = [f"- {'; '.join(titles)}: {note}" for note, titles in notes.items()]
    return [*said, ""] if said else []


def _table(rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return [head, "|---" * texts + "|---:" * (len(rows[0]) - texts) + "|", *body]


def _rate(entry: dict[str, Any], name: str = "cpu_secs") -> str:
    if not entry["rows"]:
        return ""
    found = rate(entry, name)
    scale = 1000 if found.middle >= 10_000 else 1
    unit = " k" if scale > 1 else ""
    low, middle, high = (f"{v / scale:,.0f}" for v in (found.low, found.middle, found.high))
    return f"{middle}{unit}" if low == high else f"{middle}{unit} ({low} to {high})"


def _spread(found: Spread, digits: int) -> str:
    if found.low == found.high:
        return f"{found.middle:.{digits}f}"
    return f"{found.middle:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


# -- plots ------------------------------------------------------------------------------------


def plot(results: Results, name: str) -> str:
    """Return the plot of a table as SVG; nothing if it has none."""
    if not results or name in ("machine", "summary"):
        return ""
    table = table_of(name)
    cases = measured(results, table)
    bars = [
        plots.Bar(case["title"], TOOLS.get(entry["name"], entry["name"]), *_bar(entry, table.plot))
        for case in cases
        for entry in case["contenders"]
    ]
    if not bars:
        return ""
    unit = "units" if len({case["unit"] for case in cases}) > 1 else cases[0]["unit"]
    timed = not any(entry["rows"] for case in cases for entry in case["contenders"])
    title = PLOTTED["start" if timed else table.plot].format(unit=unit)
    return (plots.draw if table.side_by_side else plots.draw_apart)(bars, title)


def _bar(entry: dict[str, Any], what: str) -> tuple[float, float, float]:
    if what == "rss_mb":
        found = figure(entry, what)
    elif entry["rows"]:
        found = rate(entry, what)
    else:
        found = figure(entry, "wall_secs")
        found = Spread(1000 * found.low, 1000 * found.middle, 1000 * found.high)
    return found.middle, found.low, found.high


if __name__ == "__main__":
    main()
