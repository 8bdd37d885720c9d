"""Reads a table of prices per gigabyte by class of path."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktrans.enrichers.paths.table_file import TableFile

COLUMNS = ("path_class", "from_region", "to_region", "price_per_gb")

Key = tuple[str, str | None, str | None]
"""Class of the path, region it begins in, region it ends in; None is any."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by class and regions."""

    by_key: dict[Key, float]

    def of(self, path: str, from_region: str | None, to_region: str | None) -> float | None:
        """Return the price of the most specific row: both regions, the first, the second, neither."""
        for start, end in (
            (from_region, to_region),
            (from_region, None),
            (None, to_region),
            (None, None),
        ):
            price = self.by_key.get((path, start, end))
            if price is not None:
                return price
        return None


def load_prices(path: Path, classes: Iterable[str]) -> Prices:
    """Read a table with the columns path_class and price_per_gb, and maybe from_region, to_region.

    Args:
        path: the file.
        classes: the classes of paths that exist.

    Raises:
        ConfigError: the file cannot be read, or a row in it is wrong; with file and line.
    """
    table = TableFile(path, "price table", "path_class")
    known = tuple(classes)
    prices: dict[Key, float] = {}
    for line, row in table.rows():
        key, price = _row(table, line, row, known)
        if key in prices:
            raise table.wrong(line, "these regions have a price already")
        prices[key] = price
    if not prices:
        raise table.wrong(1, "the table has no rows")
    return Prices(prices)


def _row(
    table: TableFile, line: int | None, row: dict[str, Any], classes: tuple[str, ...]
) -> tuple[Key, float]:
    for name in ("path_class", "price_per_gb"):
        if name not in row:
            raise table.wrong(line, f"there is no column {name!r}")
    for name in row:
        if name not in COLUMNS:
            raise table.wrong(line, f"unknown column {name!r}; there are {', '.join(COLUMNS)}")
    kind, given = row["path_class"], row["price_per_gb"]
    if kind not in classes:
        raise table.wrong(line, f"unknown class of path {kind!r}; there are {', '.join(classes)}")
    try:
        price = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        price = math.nan
    if not (math.isfinite(price) and price >= 0):
        raise table.wrong(line, f"{given!r} is not a price")
    return (kind, row.get("from_region") or None, row.get("to_region") or None), price
