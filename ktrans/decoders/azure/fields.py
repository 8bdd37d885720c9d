"""The fields of Azure flow tuples: names, types, and the codes that some of them hold.

The layouts are those of Azure Network Watcher's network security group flow logs, version 1 (8
fields) and 2 (13), and of its virtual network flow logs (13, fields 8 and 9 of another meaning).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from ktrans.decoders.azure.records import Kind
from ktrans.decoders.values import Kind as FieldKind
from ktrans.decoders.values import Rule, Wrong
from ktrans.flow.columns import recode
from ktrans.flow.protocols import protocol_number as number_by_name

NAMES = (
    "time", "source_ip", "destination_ip", "source_port", "destination_port", "protocol",
    "direction", "verdict", "state", "packets_sent", "bytes_sent", "packets_received",
    "bytes_received",
)  # fmt: skip
"""The fields in order. The 8th is the decision (network security groups) or the flow state (virtual
networks), the 9th the flow state or the encryption."""

SHARED_MAPPING: dict[str, str] = {
    "start_time": "tuple field 1",
    "logged_at": "`time` of the record",
    "src_addr": "tuple field 2",
    "dst_addr": "tuple field 3",
    "src_port": "tuple field 4",
    "dst_port": "tuple field 5",
    "protocol": "tuple field 6",
    "ip_version": "tuple field 2",
    "direction": "tuple field 7: I, O",
    "packets": "tuple field 10",
    "bytes": "tuple field 11",
    "packets_rev": "tuple field 12",
    "bytes_rev": "tuple field 13",
}
"""The flow columns that both kinds of log fill from the same fields, for the reference."""

_KINDS: dict[str, FieldKind] = {
    "time": "time",
    "source_ip": "address",
    "destination_ip": "address",
    "source_port": "port",
    "destination_port": "port",
    "packets_sent": "count",
    "bytes_sent": "count",
    "packets_received": "count",
    "bytes_received": "count",
}
RULES = {
    name: Rule(kind, nulls=(), strict=True, negative_is_null=False) for name, kind in _KINDS.items()
}
"""How the texts of the fields are converted; those in CODES are looked up."""

REQUIRED_FIELDS = ("time", "source_ip", "destination_ip", "packets_sent", "bytes_sent")
"""The fields of the columns without which a record is no flow (`ktrans.decoders.flow_rule`)."""

COLUMNS_OF: dict[str, str] = {
    "source_port": "src_port",
    "destination_port": "dst_port",
    "protocol": "protocol",
    "direction": "direction",
    "verdict": "action",
    "state": "flow_state",
    "packets_received": "packets_rev",
    "bytes_received": "bytes_rev",
}
"""The flow column of each other field."""

CODES = ("protocol", "direction", "verdict", "state")
WIDTH = 13
WIDTH_1 = 8
PROTOCOL_LETTERS = {"T": 6, "U": 17, "I": 1}
"""Network security group flow logs name TCP and UDP by a letter; ICMP is accepted likewise."""

_STATES = ("B", "C", "E")
_MAX_PROTOCOL = 255


def protocol_number(text: str) -> int | None:
    """Return the IANA number of a protocol field: a number, a letter or a name; None for others."""
    if text in PROTOCOL_LETTERS:
        return PROTOCOL_LETTERS[text]
    plain = text.isascii() and text.isdigit() and len(text) <= len("255")
    if plain:
        return int(text) if int(text) <= _MAX_PROTOCOL else None
    return number_by_name(text)


def _is_protocol(text: str) -> bool:
    return protocol_number(text) is not None


def _is_one_of(*codes: str) -> Callable[[str], bool]:
    return lambda text: text in codes


_KNOWN: dict[Kind, dict[str, Callable[[str], bool]]] = {
    "nsg": {
        "protocol": _is_protocol,
        "direction": _is_one_of("I", "O"),
        "verdict": _is_one_of("A", "D"),
        "state": _is_one_of(*_STATES),
    },
    "vnet": {
        "protocol": _is_protocol,
        "direction": _is_one_of("I", "O"),
        "verdict": _is_one_of(*_STATES, "D"),
        "state": lambda _: True,
    },
}


def check_codes(
    name: str, column: pa.DictionaryArray, kind: Kind
) -> tuple[pa.DictionaryArray, Wrong | None]:
    """Check a coded field by its distinct values; those that are not known become null."""
    is_known = _KNOWN[kind][name]
    given = column.dictionary.to_pylist()
    known = [text if text is not None and is_known(text) else None for text in given]
    if known == given:
        return column, None
    unknown = np.array([*(word != text for word, text in zip(known, given, strict=True)), False])
    rows = unknown[np.asarray(column.indices.fill_null(len(given)))]
    return recode(column, pa.array(known, pa.string())), Wrong.of(rows, "wrong_type")


def code_values(column: pa.DictionaryArray, meaning: Mapping[str, str]) -> pa.Array:
    """Return the meaning of each distinct value of a coded field; null where it has none."""
    return pa.array(
        [None if text is None else meaning.get(text) for text in column.dictionary.to_pylist()],
        pa.string(),
    )
