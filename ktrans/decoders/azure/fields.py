"""The fields of Azure flow tuples: names, types, and the codes that some of them hold.

The layouts are those of Azure Network Watcher's network security group flow logs, version 1 (8
fields) and 2 (13), and of its virtual network flow logs (13, fields 8 and 9 of another meaning).
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from ktrans.decoders.azure.records import Kind
from ktrans.decoders.flow_rule import REQUIRED
from ktrans.decoders.texts import changed, marked
from ktrans.decoders.values import Rule, Wrong, kind_of
from ktrans.flow.protocols import protocol_number as number_by_name

COLUMN_OF: dict[str, str] = {
    "time": "start_time",
    "source_ip": "src_addr",
    "destination_ip": "dst_addr",
    "source_port": "src_port",
    "destination_port": "dst_port",
    "protocol": "protocol",
    "direction": "direction",
    "verdict": "action",
    "state": "flow_state",
    "packets_sent": "packets",
    "bytes_sent": "bytes",
    "packets_received": "packets_rev",
    "bytes_received": "bytes_rev",
}
"""The fields in order, each with its flow column. The 8th is the decision (network security groups) or
the flow state (virtual networks), the 9th the flow state or the encryption."""

NAMES = tuple(COLUMN_OF)
SHARED_MAPPING: dict[str, str] = {
    **{column: f"tuple field {place}" for place, column in enumerate(COLUMN_OF.values(), 1)},
    "logged_at": "`time` of the record",
    "ip_version": "tuple field 2",
    "direction": "tuple field 7: I, O",
}
"""The flow columns that both kinds of log fill from the same fields, for the reference."""

CODES = ("protocol", "direction", "verdict", "state")
RULES = {
    name: Rule(kind_of(column), nulls=(), strict=True, negative_is_null=False)
    for name, column in COLUMN_OF.items()
    if name not in CODES
}
"""How the texts of the fields are converted; those in CODES are looked up."""

REQUIRED_FIELDS = tuple(name for name, column in COLUMN_OF.items() if column in REQUIRED)
"""The fields of the columns without which a record is no flow."""

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


_KNOWN: dict[Kind, dict[str, Callable[[str], bool]]] = {
    "nsg": {
        "protocol": _is_protocol,
        "direction": ("I", "O").__contains__,
        "verdict": ("A", "D").__contains__,
        "state": _STATES.__contains__,
    },
    "vnet": {
        "protocol": _is_protocol,
        "direction": ("I", "O").__contains__,
        "verdict": (*_STATES, "D").__contains__,
        "state": lambda _: True,
    },
}


def check_codes(
    name: str, column: pa.DictionaryArray, kind: Kind
) -> tuple[pa.DictionaryArray, Wrong | None]:
    """Check a coded field by its distinct values; those that are not known become null."""
    is_known = _KNOWN[kind][name]
    if all(text is None or is_known(text) for text in column.dictionary.to_pylist()):
        return column, None
    known = changed(column, lambda text: text if is_known(text) else None)
    return known, Wrong.of(marked(column, lambda text: not is_known(text)), "wrong_type")
