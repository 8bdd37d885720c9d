"""The parts of a report: sections with figures, each of a sentence, a chart and a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Align = Literal["text", "number"]


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a chart, as texts; `note` says what it leaves out."""

    head: Sequence[tuple[str, Align]]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, its finding in one sentence, and the same as a table.

    Attributes:
        chart: makes its Vega-Lite specification for a width in pixels; None for a table alone.
        about: how it was counted, where that needs a word.
    """

    id: str
    title: str
    finding: str
    table: Table
    chart: Callable[[int], Any] | None = None
    about: str = ""


@dataclass(slots=True)
class Section:
    """A part of the page.

    Attributes:
        missing: sentences on what is not shown, and the columns that it would need.
        data: its numbers, in `--json` under its id.
    """

    id: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the summary."""

    name: str
    value: str
    detail: str = ""
    tone: Literal["plain", "good", "bad"] = "plain"


@dataclass(frozen=True, slots=True)
class Measure:
    """What traffic is measured in: the best of bytes, packets and flows that the lake has.

    Attributes:
        column: of the table `flows`: both directions together.
        there, back: each direction.
        unit: for `text.amount`.
    """

    column: str
    there: str
    back: str
    unit: str


@dataclass(slots=True)
class Report:
    """What is on the page.

    Attributes:
        places: what was read, for people.
        tiles: the summary; `numbers` are the same for machines.
        notes: what was counted, and what the reader should know.
    """

    title: str
    places: list[str]
    made: dt.datetime
    tiles: list[Tile] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers for machines."""
        return {
            "version": 1,
            "title": self.title,
            "places": self.places,
            "made": self.made.isoformat(),
            "summary": self.numbers,
            "sections": {section.id: section.data for section in self.sections},
            "not_shown": [sentence for section in self.sections for sentence in section.missing],
            "notes": self.notes,
        }

    def headline(self) -> str:
        """Return one line on what the page shows."""
        if not self.numbers.get("rows"):
            return "no rows in this period"
        shown = {tile.name: tile.value for tile in self.tiles}
        parts = [f"{shown.get('Rows', '0')} rows", f"{shown.get('Bytes', 'no')} of traffic"]
        return f"{', '.join(parts)}, coverage {shown.get('Coverage', 'not known')}"
