"""Coverage: which accounts and interfaces have rows in which hours, and lost records."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section, Table
from ktrans_report.options import Expected
from ktrans_report.sections.common import needs, table

HOUR_US = 3_600_000_000
_QUARTER_US = HOUR_US // 4
_SHORT_US = 6 * HOUR_US
_MOST_ACROSS = 72
_MOST_LISTED = 200
_MARKS = {"SKIPDATA: records lost": "!", "nothing": "×"}  # noqa: RUF001 - a cross
_MARK_WIDTH = 11
STATES = {
    "has rows": "var(--ok)",
    "NODATA only": "var(--idle)",
    "partly missing": "var(--part)",
    "SKIPDATA: records lost": "var(--lost)",
    "nothing": "var(--gap)",
}


@dataclass(frozen=True, slots=True)
class Slots:
    """The period in equal slots of `step` microseconds; `first` is the first one's number since 1970."""

    first: int
    count: int
    step: int

    @property
    def word(self) -> str:
        """What a slot is called."""
        return "hour" if self.step == HOUR_US else "quarter hour"


def slots(lake: Lake) -> Slots:
    """Cut the period into hours, or quarters of hours if it is short."""
    start, end = lake.start_us or 0, lake.end_us or 0
    step = _QUARTER_US if end - start <= _SHORT_US else HOUR_US
    first = start // step
    return Slots(first, max(-(-end // step) - first, 0), step)


def section(lake: Lake, top: int, expected: Expected) -> Section:
    """Show where rows are missing."""
    made = Section("coverage", "Coverage: missing hours")
    cut = slots(lake)
    made.data |= {"slot_secs": cut.step // 1_000_000, "slots": cut.count}
    for column, noun, names in (
        ("account_id", "account", expected.accounts),
        ("interface_id", "interface", expected.interfaces),
    ):
        wanted = list(dict.fromkeys(names))
        if lake.has(column) or wanted:
            made.figures.append(_grid(lake, cut, column, noun, wanted, top, made))
        else:
            made.missing.append(needs(f"Coverage by {noun}", column))
    made.figures.append(_lost(lake, made))
    return made


def _grid(
    lake: Lake, cut: Slots, column: str, noun: str, wanted: list[str], top: int, made: Section
) -> Figure:
    # Rows without the column belong to no row of the grid; the notes count them.
    seen = lake.ask(
        f"SELECT {column} AS key, count(DISTINCT us // {cut.step}) AS slots, sum(n) AS n,"
        " count(*) FILTER (state = 'skipdata') AS lost"
        f" FROM flows WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY n DESC, key"
    )
    known = {row["key"] for row in seen}
    absent = [key for key in wanted if key not in known]
    total = (len(seen) + len(absent)) * cut.count
    covered = sum(row["slots"] for row in seen)
    gaps = {row["key"]: cut.count - row["slots"] for row in seen}
    made.data[column] = {
        "seen": len(seen),
        "expected_but_absent": absent,
        "slots_covered": covered,
        "slots_in_all": total,
        "missing": {key: gap for key, gap in gaps.items() if gap},
    }
    shown = _chosen([row["key"] for row in seen], gaps, absent, 2 * top)
    states = _states(lake, cut, column, shown)
    cells, across = _cells(cut, shown, states)
    return Figure(
        f"coverage-{column.removesuffix('_id')}",
        f"{cut.word.capitalize()}s by {noun}",
        _finding(cut, noun, gaps, absent, states),
        _table(cut, noun, shown, states, len(seen) + len(absent)),
        (lambda width: _draw(cells, across, shown, width)) if shown and cut.count else None,
        f"A row counts in the {cut.word} in which it begins. NODATA: the interface had no traffic."
        " A cross: there is no row, so the log may be off, late or not delivered, or the interface"
        " may not have existed."
        + (
            " Totals have no NODATA rows, so quiet hours look like missing ones."
            if lake.totals
            else ""
        ),
    )


def _chosen(seen: list[str], gaps: Mapping[str, int], absent: list[str], most: int) -> list[str]:
    """Choose the rows to show: expected and absent ones, those with most gaps, then the busiest.

    `seen` has the busiest first.
    """
    room = max(most - len(absent), 2)
    worst = sorted((key for key in seen if gaps[key]), key=lambda key: -gaps[key])[: room // 2]
    kept = set([*worst, *(key for key in seen if key not in set(worst))][:room])
    shown = sorted((key for key in seen if key in kept), key=lambda key: -gaps[key])
    return [*absent, *shown][:most]


def _states(lake: Lake, cut: Slots, column: str, keys: Sequence[str]) -> dict[str, dict[int, str]]:
    with lake.chosen(keys):
        rows = lake.ask(
            f"SELECT {column} AS key, us // {cut.step} AS slot, bool_or(state = 'flow') AS flow,"
            f" bool_or(state = 'skipdata') AS lost FROM flows"
            f" WHERE {column} IN (SELECT x FROM chosen) GROUP BY 1, 2"
        )
    states: dict[str, dict[int, str]] = {key: {} for key in keys}
    has, idle, _, skipped, _ = STATES
    for row in rows:
        state = skipped if row["lost"] else has if row["flow"] else idle
        states[row["key"]][row["slot"] - cut.first] = state
    return states


def _cells(
    cut: Slots, keys: Sequence[str], states: Mapping[str, Mapping[int, str]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Merge slots until they fit across the chart, and return the cells and the labels."""
    has, idle, partly, skipped, nothing = STATES
    each = next((n for n in (1, 2, 3, 6, 12, 24, 72, 168) if cut.count / n <= _MOST_ACROSS), 720)
    columns = range(-(-cut.count // each))
    cells = []
    for y, key in enumerate(keys):
        of = states[key]
        for x in columns:
            inside = range(x * each, min((x + 1) * each, cut.count))
            found = [of.get(at) for at in inside]
            there = {state for state in found if state}
            if not there:
                state = nothing
            elif skipped in there:
                state = skipped
            elif None in found:
                state = partly
            else:
                state = has if has in there else idle
            begins = text.when((cut.first + inside[0]) * cut.step)
            shown = f"{text.clean(key)}, from {begins} UTC: {state}"
            cells.append({"x": x, "y": y, "state": state, "shown": shown, "mark": ""})
    days = cut.count * cut.step > 36 * HOUR_US
    labels = []
    for x in columns:
        time = text.moment((cut.first + x * each) * cut.step)
        labels.append(f"{time:%d %b}" if days else f"{time:%H:%M}")
    every = max(len(labels) // 8, 1)
    return cells, [label if at % every == 0 else "" for at, label in enumerate(labels)]


def _draw(cells: list[dict[str, Any]], across: list[str], keys: Sequence[str], width: int) -> Any:
    from ktrans_report import charts

    names = [text.clean(key) for key in keys]
    shown = cells
    if width / len(across) > _MARK_WIDTH:  # not by colour alone, where there is room
        shown = [{**cell, "mark": _MARKS.get(cell["state"], "")} for cell in cells]
    return charts.grid(
        shown, across, names, STATES, width, titles=("UTC", None), mark="var(--mark)"
    )


def _finding(
    cut: Slots,
    noun: str,
    gaps: Mapping[str, int],
    absent: Sequence[str],
    states: Mapping[str, Mapping[int, str]],
) -> str:
    parts = []
    if absent:
        names = text.listed([text.clean(key) for key in absent])
        parts.append(f"{names} should have rows and {'has' if len(absent) == 1 else 'have'} none.")
    lacking = sorted((key for key, gap in gaps.items() if gap), key=lambda key: -gaps[key])
    if lacking:
        worst = lacking[0]
        parts.append(
            f"{text.amount_of(gaps[worst], cut.word)} of {cut.count:,}"
            f" {'is' if gaps[worst] == 1 else 'are'} missing for {text.clean(worst)}"
            + (
                f"; {text.amount_of(len(lacking), noun)} of {len(gaps):,} lack"
                f"{'s' if len(lacking) == 1 else ''} at least one."
                if len(gaps) > 1
                else "."
            )
        )
    elif gaps:
        parts.append(
            f"Every {noun} of {len(gaps):,} has rows in every {cut.word}."
            if len(gaps) > 1
            else f"The {noun} has rows in every {cut.word}."
        )
    skipped = [key for key, of in states.items() if "SKIPDATA: records lost" in of.values()]
    if skipped:
        parts.append(
            f"The cloud lost records (SKIPDATA) of {text.listed([text.clean(key) for key in skipped])}."
        )
    return " ".join(parts) or f"No row names its {noun}."


def _table(
    cut: Slots,
    noun: str,
    keys: Sequence[str],
    states: Mapping[str, Mapping[int, str]],
    in_all: int,
) -> Table:
    rows = []
    for key in keys[:_MOST_LISTED]:
        of = states[key]
        counts = {state: list(of.values()).count(state) for state in STATES}
        gaps = {"nothing": cut.count - len(of), "gaps": _ranges(cut, of)}
        rows.append({"key": key, **counts, **gaps})
    left = in_all - len(keys)
    return table(
        rows,
        [
            ("key", noun.capitalize(), ""),
            ("has rows", "Has rows", "count"),
            ("NODATA only", "NODATA only", "count"),
            ("SKIPDATA: records lost", "SKIPDATA", "count"),
            ("nothing", "Nothing", "count"),
            ("gaps", f"Missing {cut.word}s (UTC)", ""),
        ],
        f"{left:,} more with fewer flows are not shown." if left > 0 else "",
    )


def _ranges(cut: Slots, of: Mapping[int, str], most: int = 3) -> str:
    """Name the gaps: from when to when."""
    gaps: list[tuple[int, int]] = []
    for at in range(cut.count):
        if at in of:
            continue
        if gaps and gaps[-1][1] == at:
            gaps[-1] = (gaps[-1][0], at + 1)
        else:
            gaps.append((at, at + 1))
    names = [
        f"{text.when((cut.first + low) * cut.step)} to {text.when((cut.first + high) * cut.step)}"
        for low, high in gaps
    ]
    return text.listed(names, most) if names else ""


def _lost(lake: Lake, made: Section) -> Figure:
    """Count the rows of status SKIPDATA, by which the cloud says that it lost records, and NODATA."""
    rows = lake.ask(
        "SELECT coalesce(account_id, 'no account') AS account,"
        " count(*) FILTER (state = 'skipdata') AS skipdata,"
        " count(*) FILTER (state = 'nodata') AS nodata, count(*) AS rows,"
        " count(DISTINCT interface_id) FILTER (state = 'skipdata') AS interfaces"
        " FROM flows GROUP BY 1 ORDER BY skipdata DESC, account LIMIT 50"
    )
    made.data["log_status"] = rows
    lost = sum(row["skipdata"] for row in rows)
    quiet = sum(row["nodata"] for row in rows)
    if not lake.has("log_status"):
        sentence = (
            "Whether the cloud lost records is not known: no row has a value in `log_status`."
        )
    elif lost:
        sentence = (
            f"{text.amount(lost, 'rows')} of status SKIPDATA: the cloud lost records, so there"
            " was more traffic in these windows than is counted."
        )
    else:
        sentence = "No row says that the cloud lost records (SKIPDATA)."
    sentence += f" {text.amount(quiet, 'rows')} of status NODATA." if quiet else ""
    return Figure(
        "coverage-lost",
        "Records that the cloud lost",
        sentence,
        table(
            rows,
            [
                ("account", "Account", ""),
                ("rows", "Rows", "count"),
                ("nodata", "NODATA", "count"),
                ("skipdata", "SKIPDATA", "count"),
                ("interfaces", "Interfaces with SKIPDATA", "count"),
            ],
        ),
    )
