"""Build batches of the flow schema from checked Azure flow tuples and the fields of their records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ktrans.decoders.azure.fields import COLUMN_OF, RULES, protocol_number
from ktrans.decoders.azure.place import normal_mac, place_of
from ktrans.decoders.azure.records import Kind, Records
from ktrans.decoders.read.azure_tuples import Tuples
from ktrans.decoders.texts import by_row, changed, marked, where
from ktrans.decoders.time_limits import TimeLimits
from ktrans.decoders.values import Rule, coerce
from ktrans.flow.addresses import ip_versions
from ktrans.flow.columns import constant_text, flow_batch, nulls, raw_values
from ktrans.flow.maps import build_attrs
from ktrans.flow.protocols import blank_ports, portless
from ktrans.flow.schema import TIME

_COUNTERS = {COLUMN_OF[name]: name for name, rule in RULES.items() if rule.kind == "count"}
_DIRECTIONS = {"I": "ingress", "O": "egress"}
_STATES = {"B": "begin", "C": "continue", "E": "end", "D": "deny"}
_ACTIONS: dict[Kind, dict[str, str]] = {
    "nsg": {"A": "accept", "D": "reject"},
    "vnet": {"B": "accept", "C": "accept", "E": "accept", "D": "reject"},
}
_UNSPECIFIED = "unspecified"
_STAMP = Rule("time", unit="rfc3339", nulls=(), strict=True)
_ZONE = re.compile(r"(?:Z|[+-]\d\d:\d\d)$")


class AzureRows:
    """Rows under construction.

    Args:
        schema: the flow columns that are wanted.
        uri: the object.
        records: the records.
        counts: number of tuples of each group.
        tuples: the checked fields of the tuples.
        positions: the position of each tuple in the object.
        times: which times can be right.
    """

    def __init__(
        self,
        schema: pa.Schema,
        uri: str,
        records: Records,
        counts: np.ndarray,
        tuples: Tuples,
        positions: np.ndarray,
        times: TimeLimits,
    ) -> None:
        self.limits = times
        self.schema = schema
        self.wanted = frozenset(schema.names)
        self.uri = uri
        self.records = records
        self.tuples = tuples
        self.positions = positions
        self.rows = len(positions)
        group = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self.group = group if tuples.lines is None else group[tuples.lines]
        self.record = np.array([owner for owner, *_ in records.groups], dtype=np.int32)[self.group]
        self.places = [place_of(fields, uri, records.kind) for fields in records.fields]
        self.odd_times: dict[int, str] = {}
        self.columns: dict[str, pa.Array] = {}

    def batch(self) -> pa.RecordBatch:
        """Fill the columns, and return them as a batch."""
        self._constants()
        self._times()
        self._sides()
        self._verdicts()
        self._counters()
        self._groups()
        self._records()
        return flow_batch(self.schema, self.rows, self.columns)

    def _constants(self) -> None:
        texts = {
            "provider": "azure",
            "log_type": f"azure.{self.records.kind}",
            "reporter": "interface",
            "log_status": "OK",
            "source_uri": self.uri,
        }
        for name, text in texts.items():
            self.columns[name] = constant_text(text, self.rows)
        self.columns["source_pos"] = pa.array(self.positions, pa.int64())

    def _times(self) -> None:
        self.columns["start_time"] = self.tuples.columns["time"]
        if not self.wanted & {"logged_at", "attrs"}:
            return
        given = self.records.times
        zoned = [text + "Z" if text and not _ZONE.search(text) else text for text in given]
        times, wrong = coerce(_STAMP, pa.array(zoned, pa.string()).dictionary_encode())
        for each in (wrong, outside := self.limits.wrong(times)):
            for number in () if each is None else each.rows.tolist():
                self.odd_times[number] = given[number] or ""
        if outside is not None:
            times = self.limits.without_wrong(times, outside)
        if "logged_at" in self.wanted:
            self.columns["logged_at"] = self._spread_numbers(times, TIME)

    def _sides(self) -> None:
        native, columns = self.tuples.columns, self.columns
        columns["src_addr"] = native["source_ip"]
        columns["dst_addr"] = native["destination_ip"]
        columns["protocol"] = _protocol_numbers(native["protocol"])
        if "ip_version" in self.wanted:
            columns["ip_version"] = ip_versions(native["source_ip"])
        if self.wanted & {"src_port", "dst_port"}:
            without = portless(columns["protocol"])
            for field in ("source_port", "destination_port"):
                if field in native:
                    columns[COLUMN_OF[field]] = blank_ports(native[field], without)
        self._coded("direction", native["direction"], _DIRECTIONS)

    def _verdicts(self) -> None:
        """Fill the columns that depend on the fields 8 and 9."""
        native, kind = self.tuples.columns, self.records.kind
        verdict, second = native["verdict"], native.get("state")
        self._coded("action", verdict, _ACTIONS[kind])
        if kind == "nsg":
            if second is not None:
                self._coded("flow_state", second, _STATES)
            return
        self._coded("flow_state", verdict, _STATES)
        assert second is not None
        self.columns["encryption"] = second
        if "action_reason" in self.wanted:
            self._encryption_denies(verdict, second)

    def _encryption_denies(self, verdict: pa.DictionaryArray, code: pa.DictionaryArray) -> None:
        """Fill the reason of flows that no rule denied: they were denied for their encryption."""
        records = self.records
        unspecified = np.array(
            [
                (acl or "").lower() == _UNSPECIFIED or (rule or "").lower() == _UNSPECIFIED
                for _, rule, acl, _ in records.groups
            ],
            dtype=bool,
        )
        if not unspecified.any():
            return
        reasons = changed(code, lambda text: text if text.startswith("NX_") else None)
        denied = unspecified[self.group] & _is(verdict, "D")
        self.columns["action_reason"] = where(reasons, denied)

    def _coded(self, name: str, column: pa.DictionaryArray, meaning: Mapping[str, str]) -> None:
        if name in self.wanted:
            self.columns[name] = changed(column, meaning.get)

    def _counters(self) -> None:
        """Fill the counters; zeros of flows that begin or are denied were not measured."""
        native = self.tuples.columns
        there = [name for name in _COUNTERS if name in self.wanted and _COUNTERS[name] in native]
        if not there:
            return
        unmeasured = _is(native["verdict"], "D")
        begins = native["verdict"] if self.records.kind == "vnet" else native.get("state")
        if begins is not None:
            unmeasured |= _is(begins, "B")
        for name in there:
            column = native[_COUNTERS[name]]
            empty = unmeasured & (raw_values(column) == 0)
            if empty.any():
                if column.null_count:
                    empty |= np.asarray(column.is_null())
                column = pa.array(raw_values(column), column.type, mask=empty)
            self.columns[name] = column

    def _groups(self) -> None:
        """Fill the columns that depend on the group of a tuple."""
        groups, places = self.records.groups, self.places
        macs = [mac or places[owner].mac for owner, _, _, mac in groups]
        self._spread("rule", [rule for _, rule, _, _ in groups], self.group)
        self._spread(
            "acl_id", [acl or places[owner].acl for owner, _, acl, _ in groups], self.group
        )
        self._spread("interface_id", [mac and (normal_mac(mac) or mac) for mac in macs], self.group)

    def _records(self) -> None:
        """Fill the columns that depend on the record of a tuple."""
        self._spread("account_id", [place.account for place in self.places], self.record)
        self._spread("region", [place.region for place in self.places], self.record)
        self._spread("vpc_id", [place.vpc for place in self.places], self.record)
        self._spread("subnet_id", [place.subnet for place in self.places], self.record)
        if "log_version" in self.wanted:
            versions = pa.array([place.version for place in self.places], pa.int16())
            self.columns["log_version"] = self._spread_numbers(versions, pa.int16())
        if "attrs" in self.wanted:
            names = sorted({name for place in self.places for name in place.attrs})
            values = {name: [place.attrs.get(name) for place in self.places] for name in names}
            if self.odd_times:
                values["time"] = [self.odd_times.get(i) for i in range(len(self.places))]
            fields = [
                (name, _spread_text(pa.array(texts, pa.string()), self.record))
                for name, texts in values.items()
            ]
            fields += [pair for pair in self.tuples.unread.items() if pair[0] not in values]
            self.columns["attrs"] = build_attrs(fields, self.rows)

    def _spread(self, name: str, values: Sequence[str | None], index: np.ndarray) -> None:
        if name not in self.wanted:
            return
        distinct = set(values)
        if len(distinct) == 1:
            self.columns[name] = constant_text(distinct.pop(), self.rows)
        else:
            self.columns[name] = _spread_text(pa.array(values, pa.string()), index)

    def _spread_numbers(self, values: pa.Array, kind: pa.DataType) -> pa.Array:
        if values.null_count == len(values):
            return nulls(self.rows, kind)
        return values.take(pa.array(self.record))


def _spread_text(values: pa.StringArray, index: np.ndarray) -> pa.DictionaryArray:
    """Repeat the text of each record or group for its rows."""
    coded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.take(pa.array(index)), coded.dictionary)


def _is(column: pa.DictionaryArray, code: str) -> np.ndarray:
    """Return a mask of the rows with this code."""
    return marked(column, code.__eq__)


def _protocol_numbers(column: pa.DictionaryArray) -> pa.Array:
    """Return IANA numbers; the dictionary may hold texts that no row has any more."""
    numbers = [protocol_number(text or "") or 0 for text in column.dictionary.to_pylist()]
    mask = np.asarray(column.is_null()) if column.null_count else None
    return pa.array(by_row(column, numbers, 0).astype(np.int16), mask=mask)
