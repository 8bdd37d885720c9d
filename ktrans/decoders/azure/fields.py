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
from ktrans.decoders.values import Rule, Wrong, explain

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

CODES = ("protocol", "direction", "verdict", "state")
WIDTH = 13
WIDTH_1 = 8
PROTOCOL_LETTERS = {"T": 6, "U": 17, "I": 1}
"""Network security group flow logs name TCP and UDP by a letter; ICMP is accepted likewise."""

_STATES = ("B", "C", "E")
_MAX_PROTOCOL = 255


def protocol_number(text: str) -> int | None:
    """Return the IANA number of a protocol field; None if it is neither a number nor a letter."""
    if text in PROTOCOL_LETTERS:
        return PROTOCOL_LETTERS[text]
    plain = text.isascii() and text.isdigit() and len(text) <= len("255")
    return int(text) if plain and int(text) <= _MAX_PROTOCOL else None


def _protocol(text: str) -> str | None:
    if protocol_number(text) is not None:
        return None
    return "out_of_range" if text.isascii() and text.isdigit() else "unknown_protocol"


def _one_of(allowed: tuple[str, ...], reason: str) -> Callable[[str], str | None]:
    return lambda text: None if text in allowed else reason


_DIRECTION = _one_of(("I", "O"), "unknown_direction")
_CHECKS: dict[Kind, dict[str, Callable[[str], str | None]]] = {
    "nsg": {
        "protocol": _protocol,
        "direction": _DIRECTION,
        "verdict": _one_of(("A", "D"), "unknown_decision"),
        "state": _one_of(_STATES, "unknown_state"),
    },
    "vnet": {
        "protocol": _protocol,
        "direction": _DIRECTION,
        "verdict": _one_of((*_STATES, "D"), "unknown_state"),
        "state": lambda _: None,
    },
}
_WORDS = {
    "unknown_protocol": "neither an IANA protocol number nor T or U",
    "out_of_range": "not a protocol number of 0 to 255",
    "unknown_direction": "neither I nor O",
    "unknown_decision": "neither A nor D",
    "unknown_state": "not a flow state (B, C or E; in virtual networks also D)",
}
_CALLED: dict[Kind, dict[str, str]] = {
    "nsg": {"verdict": "decision", "state": "flow state"},
    "vnet": {"verdict": "flow state", "state": "encryption"},
}


def check_codes(name: str, column: pa.DictionaryArray, kind: Kind) -> Wrong | None:
    """Check a coded field by its distinct values; only the state may be missing."""
    check, optional = _CHECKS[kind][name], name == "state"
    reasons = [None if text is None else check(text) for text in column.dictionary.to_pylist()]
    missing = not optional and column.null_count > 0
    if not missing and not any(reasons):
        return None
    absent = None if optional else check("")
    table = np.array([*reasons, absent], dtype=object)
    found = table[np.asarray(column.indices.fill_null(len(reasons)))]
    rows = np.flatnonzero(found != None)  # noqa: E711
    return Wrong(rows, tuple(found[rows].tolist())) if len(rows) else None


def words(name: str, kind: Kind, reason: str, text: str) -> str:
    if name in CODES:
        return f"{_CALLED[kind].get(name, name)}: {text!r} is {_WORDS[reason]}"
    return explain(name, RULES[name].kind, reason, text)


def code_values(column: pa.DictionaryArray, meaning: Mapping[str, str]) -> pa.Array:
    """Return the meaning of each distinct value of a coded field; null where it has none."""
    return pa.array(
        [None if text is None else meaning.get(text) for text in column.dictionary.to_pylist()],
        pa.string(),
    )
