"""Finds the places of both ends of a flow, by the rules of the `zones` enricher's docstring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.enrichers.paths.prefix_table import PrefixTable
from ktrans.expressions.prefixes import PrefixIndex, parse_addresses
from ktrans.kit.columns import MISSING, coded, distinct, spread
from ktrans.kit.flow_rules import (
    DIRECTION_SIDES,
    INSIDE,
    LOCAL_GROUPS,
    REPORTER_SIDES,
    SIDES,
    address_classes,
    is_class,
)
from ktrans.kit.text.json_errors import UNREADABLE_JSON

PLACE = ("cloud", "region", "zone", "vpc")
_RECORD = {"cloud": "provider", "region": "region", "zone": "zone", "vpc": "vpc_id"}
_CAPTURED = {"reporter": REPORTER_SIDES, "direction": DIRECTION_SIDES}
_ATTRS = {
    "jsonPayload.{side}_instance": {"region": "region", "zone": "zone"},
    "jsonPayload.{side}_vpc": {"subnetwork_region": "region", "vpc_name": "vpc"},
    "jsonPayload.{side}_gateway": {"location": "region"},
}
_ATTRS_SIDE = ("src", "dest")
"""What Google Cloud says of either side is left in the attributes, as JSON objects."""
_TRANSIT_GATEWAY_ZONES = ("tgw-src-az-id", "tgw-dst-az-id")
"""Attributes of Transit Gateway flow logs: the zone of either side, in the record's region."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Text by row as codes, negative for null."""

    codes: np.ndarray
    texts: pa.Array

    def column(self) -> pa.DictionaryArray:
        """Return it as a text column."""
        return coded(self.codes, self.texts)


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of each row of a batch.

    Attributes:
        places: by side and kind of place; both sides of a kind share their codes.
        address: by side, whether there is an address.
        outside: by side, whether its address is public and its place not known.
    """

    places: dict[tuple[str, str], Coded]
    address: tuple[np.ndarray, np.ndarray]
    outside: tuple[np.ndarray, np.ndarray]

    def column(self, side: str, what: str) -> pa.DictionaryArray:
        """Return one kind of place of one side as a text column."""
        return self.places[side, what].column()


class _Words:
    """Codes of texts in one batch: those of the table, then those that the records bring."""

    def __init__(self, fixed: dict[str, int]) -> None:
        self._fixed = fixed
        self._more: dict[str, int] = {}

    def codes(self, values: pa.Array) -> np.ndarray:
        """Return the code of each distinct value (int32, MISSING for null)."""
        found = [MISSING if text is None else self._code(text) for text in values.to_pylist()]
        return np.array(found, np.int32)

    def _code(self, text: str) -> int:
        code = self._fixed.get(text)
        if code is None:
            code = self._more.setdefault(text, len(self._fixed) + len(self._more))
        return code

    def texts(self) -> pa.Array:
        return pa.array([*self._fixed, *self._more], pa.string())


class Places:
    """Finds places by a table of prefixes and by what records say. Read-only once made.

    Args:
        table: prefixes with any of the columns in PLACE, or None.
    """

    def __init__(self, table: PrefixTable | None) -> None:
        self._index = PrefixIndex(table.prefixes if table else [])
        self._words: dict[str, dict[str, int]] = {}
        self._cells: dict[str, np.ndarray] = {}
        for what in PLACE:
            words = self._words[what] = {}
            texts = table.columns.get(what) if table else None
            codes = [
                MISSING if text is None else words.setdefault(text, len(words))
                for text in ([] if texts is None else texts.to_pylist())
            ]
            # One more at the end, where an address in no prefix (position -1) finds its null.
            self._cells[what] = np.array([*codes, MISSING], np.int32)

    def find(self, batch: pa.RecordBatch, *, attrs: bool) -> Ends:
        """Find the places of both ends.

        Args:
            batch: flows.
            attrs: whether to look into the attributes too.
        """
        words = {what: _Words(self._words[what]) for what in PLACE}
        looked = [self._address(batch.column(f"{side}_addr")) for side in SIDES]
        captured = _captured(batch)
        record = {what: _coded(batch.column(name), words[what]) for what, name in _RECORD.items()}
        providers = _providers(batch) if attrs and "attrs" in batch.schema.names else frozenset()
        codes: dict[tuple[str, str], np.ndarray] = {}
        for number, side in enumerate(SIDES):
            rows, indices, _, _ = looked[number]
            here = captured == number
            place = {what: np.where(here, found, MISSING) for what, found in record.items()}
            _fill(place["vpc"], _coded(batch.column(f"{side}_vpc"), words["vpc"]))
            if "aws" in providers:
                zone = pc.map_lookup(batch.column("attrs"), _TRANSIT_GATEWAY_ZONES[number], "first")
                zones = _coded(zone, words["zone"])
                region = np.where(zones >= 0, record["region"], MISSING)
                _complete(place, {"region": region, "zone": zones})
            if "gcp" in providers:
                for found in _attributes(batch.column("attrs"), number):
                    origin = {
                        what: spread(words[what].codes(texts), at)
                        for what, (texts, at) in found.items()
                    }
                    _complete(place, origin)
            table = {what: cells for what, cells in self._cells.items() if len(cells) > 1}
            if table:
                _complete(place, {w: spread(cells[rows], indices) for w, cells in table.items()})
            codes.update({(side, what): found for what, found in place.items()})
        texts = {what: words[what].texts() for what in PLACE}
        places = {key: Coded(array, texts[key[1]]) for key, array in codes.items()}
        outside = []
        for number, side in enumerate(SIDES):
            known = np.logical_or.reduce([codes[side, what] >= 0 for what in PLACE])
            outside.append(looked[number][3] & ~known)
        return Ends(places, (looked[0][2], looked[1][2]), (outside[0], outside[1]))

    def _address(self, column: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Look up the distinct addresses of a column.

        Returns:
            The table's row of each distinct address, and the position of each row's address among
            them; then for each row whether it has an address, and whether that is a public one.
        """
        values, indices = distinct(column)
        parsed = parse_addresses(values)
        classes = address_classes(parsed)
        there = np.append(classes >= 0, False)[indices]
        foreign = (classes >= 0) & ~is_class(classes, INSIDE | LOCAL_GROUPS)
        return (
            self._index.lookup(parsed),
            indices,
            there,
            np.append(foreign, False)[indices],
        )


def _fill(found: np.ndarray, more: np.ndarray) -> None:
    """Put codes where there are none yet, in place."""
    np.copyto(found, more, where=found < 0)


def _complete(place: dict[str, np.ndarray], origin: dict[str, np.ndarray]) -> None:
    """Take over, in place, what the next origin says of rows that it does not contradict.

    Region and zone come from one origin, so that a zone is never read within a region that
    another origin had in mind: from the first that names either, or from a later one that names
    the same and the other one too.
    """
    none = np.full(len(place["region"]), MISSING, np.int32)
    region, zone = origin.get("region", none), origin.get("zone", none)
    agrees = np.ones(len(none), bool)
    for what in ("cloud", "region", "zone"):
        mine, other = place[what], origin.get(what, none)
        agrees &= (mine < 0) | (other < 0) | (mine == other)
    nothing_yet = (place["region"] < 0) & (place["zone"] < 0)
    says_more = (region >= 0) & (zone >= 0) & ((place["region"] >= 0) ^ (place["zone"] >= 0))
    taken = agrees & (nothing_yet | says_more)
    for what, found in (("region", region), ("zone", zone)):
        np.copyto(place[what], found, where=taken)
    for what in ("cloud", "vpc"):
        if what in origin:
            np.copyto(place[what], origin[what], where=agrees & (place[what] < 0))


def _coded(column: pa.Array, words: _Words) -> np.ndarray:
    values, indices = distinct(column)
    return spread(words.codes(values), indices)


def _captured(batch: pa.RecordBatch) -> np.ndarray:
    """Return the end at which each row was captured: 0 source, 1 destination, MISSING not known."""
    ends = np.full(batch.num_rows, MISSING, np.int32)
    for name, meaning in _CAPTURED.items():
        values, indices = distinct(batch.column(name))
        codes = [meaning.get(text, MISSING) for text in values.to_pylist()]
        _fill(ends, spread(np.array(codes, np.int32), indices))
    return ends


def _providers(batch: pa.RecordBatch) -> frozenset[str | None]:
    """Return the providers of a batch that has attributes."""
    column = batch.column("attrs")
    if column.null_count == len(column):
        return frozenset()
    return frozenset(distinct(batch.column("provider"))[0].to_pylist())


def _attributes(attrs: pa.Array, side: int) -> Iterator[dict[str, tuple[pa.Array, np.ndarray]]]:
    """Return what the attributes of Google Cloud say of one side, one origin after another.

    Returns:
        By kind of place the texts of the distinct JSON objects, and for each row which of them.
    """
    for name, members in _ATTRS.items():
        found = pc.map_lookup(attrs, name.format(side=_ATTRS_SIDE[side]), "first")
        if found.null_count == len(found):
            continue
        values, indices = distinct(found)
        objects = [_json_object(text) for text in values.to_pylist()]
        origin = {}
        for member, what in members.items():
            texts = [item.get(member) for item in objects]
            origin[what] = pa.array([t if isinstance(t, str) else None for t in texts]), indices
        yield origin


def _json_object(text: str | None) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text or "{}")
    except UNREADABLE_JSON:
        return {}
    return value if isinstance(value, dict) else {}
