"""Reads a table of prices per gigabyte by class of path, and says where it is wrong."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ktrans.api import ConfigError, Where

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
    """Read a CSV with the columns path_class and price_per_gb, and maybe from_region, to_region.

    Args:
        path: the file.
        classes: the classes there are.

    Raises:
        ConfigError: the file cannot be read, or a row in it is wrong; with file and line.
    """
    known = tuple(classes)
    prices: dict[Key, float] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(path, reader.fieldnames or ())
            for row in reader:
                if not any(row.values()):
                    continue
                key, price = _row(path, reader.line_num, row, known)
                if key in prices:
                    raise _wrong(path, reader.line_num, "these regions have a price already")
                prices[key] = price
    except OSError as error:
        raise ConfigError(
            f"price table: cannot read {path}: {error.strerror or error}",
            code="table_unreadable",
            hint="a relative path starts from the pipeline file's folder",
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"price table: {path}: {error}", code="bad_table") from None
    return Prices(prices)


def _check_header(path: Path, names: Iterable[str]) -> None:
    names = [name.strip() for name in names]
    for name in ("path_class", "price_per_gb"):
        if name not in names:
            raise _wrong(path, 1, f"there is no column {name!r}")
    for name in names:
        if name not in COLUMNS:
            raise _wrong(path, 1, f"column {name!r} means nothing; there are {', '.join(COLUMNS)}")


def _row(
    path: Path, line: int, row: dict[str, str | None], classes: tuple[str, ...]
) -> tuple[Key, float]:
    if None in row or None in row.values():
        raise _wrong(path, line, "as many cells are needed as the header has")
    cells = {name.strip(): (cell or "").strip() for name, cell in row.items()}
    kind = cells["path_class"]
    if kind not in classes:
        raise _wrong(
            path, line, f"no class of path is called {kind!r}; there are {', '.join(classes)}"
        )
    try:
        price = float(cells["price_per_gb"])
    except ValueError:
        price = math.nan
    if not (math.isfinite(price) and price >= 0):
        raise _wrong(path, line, f"{cells['price_per_gb']!r} is not a price")
    return (kind, cells.get("from_region") or None, cells.get("to_region") or None), price


def _wrong(path: Path, line: int, message: str) -> ConfigError:
    where = Where(str(path), line)
    return ConfigError(f"price table: {where}: {message}", code="bad_table", where=where)
