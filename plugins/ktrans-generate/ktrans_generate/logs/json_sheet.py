"""The base of JSON logs: templates of records, filled by columns."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans_generate.catalogue import Log
from ktrans_generate.columns import Coded, Column, Ints, join, replace
from ktrans_generate.flows import Flows
from ktrans_generate.logs.aws import View

_OVERRIDES: tuple[Mapping[str, str], ...] = (
    {"src": "10.0.0.300"},
    {"dst": "2001:db8::g"},
    {"bytes": "1.5"},
)
TCP, UDP, ICMP = 6, 17, 1
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "IPv6-ICMP"}
MASKS = 64
"""Combinations of the six TCP flags."""


class Sheet(View):
    """Flows as columns for templates; some can be replaced by wrong values."""

    def __init__(self, flows: Flows, changes: Mapping[str, str], first: int) -> None:
        super().__init__(flows)
        self._changes = changes
        self.first = first

    def _or_changed(self, name: str, column: Column) -> Column:
        return self._changes.get(name, column)

    @property
    def src(self) -> Column:
        """Source address."""
        return self._or_changed("src", self.address(source=True))

    @property
    def dst(self) -> Column:
        """Destination address."""
        return self._or_changed("dst", self.address(source=False))

    @property
    def octets(self) -> Column:
        """Bytes."""
        return self._or_changed("bytes", self.flows.octets)

    def number(self) -> Ints:
        """Return the number of each row within its object."""
        return np.arange(self.first, self.first + len(self.flows))

    def protocol_name(self) -> Coded:
        """Return the name of the protocol."""
        codes = np.searchsorted(list(_PROTOCOLS), self.flows.protocol)
        return Coded.of(list(_PROTOCOLS.values()), codes)

    def verdict(self, accept: str, reject: str) -> Coded:
        """Return a text for accepted and one for refused flows."""
        return Coded.of([accept, reject], self.flows.reject)

    def way(self, ingress: str, egress: str) -> Coded:
        """Return a text for each direction."""
        return Coded.of([ingress, egress], self.flows.egress)


def stamps(seconds: Ints, form: str) -> Coded:
    """Format times; `form` follows the seconds."""
    distinct, codes = np.unique(seconds, return_inverse=True)
    texts = np.char.add(np.datetime_as_string(distinct.astype("M8[s]")), form)
    return Coded.of(texts.tolist(), codes)


class JsonLog(Log, abc.ABC):
    """Logs of one JSON record a line."""

    ending: ClassVar[str] = ".json"
    row_bytes: int = 450

    @abc.abstractmethod
    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Return a record's constant texts and columns, alternating."""

    def empty_parts(self, sheet: Sheet) -> Sequence[Column] | None:
        """Return the parts of a record without data; None if this log has none."""
        del sheet
        return None

    def rows(self, flows: Flows, bad: np.ndarray, kinds: np.ndarray, first: int) -> pa.Array:
        """Write records, each with its line end."""
        flows = self.prepared(flows)
        lines = self._lines(flows, {}, first)
        empty = flows.status != 0
        if empty.any():
            picked = flows.pick(empty)
            parts = self.empty_parts(Sheet(picked, {}, first))
            if parts is not None:
                lines = replace(lines, empty, join(parts, len(picked), ""))
        kinds = np.where(bad, kinds % (len(_OVERRIDES) + 1), -1)
        for number in np.unique(kinds[bad]).tolist():
            mask = kinds == number
            if number < len(_OVERRIDES):
                broken = self._lines(flows.pick(mask), _OVERRIDES[number], first)
            else:
                broken = self.torn(lines.filter(pa.array(mask)))
            lines = replace(lines, mask, broken)
        return self.finished(lines, first).cast(pa.binary())

    def prepared(self, flows: Flows) -> Flows:
        """Change flows to those that the log can contain."""
        return flows

    def torn(self, lines: pa.Array) -> pa.Array:
        """Break records so that they are no JSON."""
        return pc.utf8_slice_codeunits(lines, 0, -20)

    def finished(self, lines: pa.Array, first: int) -> pa.Array:
        """Put records one after the other."""
        del first
        return pc.binary_join_element_wise(lines, "\n", "")

    def _lines(self, flows: Flows, changes: Mapping[str, str], first: int) -> pa.Array:
        return join(self.parts(Sheet(flows, changes, first)), len(flows), "")
