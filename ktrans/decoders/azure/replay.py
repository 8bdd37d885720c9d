"""Reading the raw bytes of rejected Azure tuples and records again."""

from __future__ import annotations

from collections.abc import Iterator

from ktrans.api import Payload
from ktrans.decoders.azure.model import Fault, Kind, Refused, TupleBlock
from ktrans.decoders.read.azure_loose import decoded, read_loosely


def replay_tuples(
    payload: Payload, lines: list[bytes], layout: str, default: Kind
) -> Iterator[TupleBlock]:
    """Give a block for tuples that were rejects; the position of each is the number of its line.

    Args:
        payload: what the block belongs to.
        lines: the tuples.
        layout: the record that they stood in, without tuples.
        default: the kind of tuples of which nothing else tells it.

    Raises:
        Fault: the layout is no record.
    """
    sheets, _ = read_loosely(decoded(layout.encode()), default)
    if len(sheets) != 1 or len(sheets[0].counts) != 1:
        raise Fault("bad_layout", "the layout is not a record with one group of tuples")
    sheet = sheets[0]
    sheet.counts = [len(lines)]
    sheet.data = b"".join(b", %b\n" % line for line in lines)
    sheet.tidy = False
    yield TupleBlock(payload.uri, sheet, 1)


def replay_records(payload: Payload, lines: list[bytes], default: Kind) -> Iterator[TupleBlock]:
    """Give blocks for records that were rejects, all tuples of one at its line's number."""
    for number, line in enumerate(lines, 1):
        try:
            sheets, skipped = read_loosely(decoded(line), default)
        except Fault as fault:
            refused = Refused(number, fault.reason, line, str(fault))
            yield TupleBlock(payload.uri, None, number, 0, (refused,))
            continue
        for sheet in sheets:
            if sheet.lines:
                yield TupleBlock(payload.uri, sheet, number, same_position=True)
        if skipped:
            yield TupleBlock(payload.uri, None, number, skipped)
