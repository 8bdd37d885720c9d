"""CSV with a column of records: the console's export of log events, answers of queries.

Sources: Amazon CloudWatch Logs User Guide, exports of the console and of Logs Insights; Amazon Athena User
Guide, "Query results".
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from ktrans.decoders.carriers.envelopes import TEXT_KEYS, Part, open_envelope
from ktrans.decoders.carriers.messages import Bad

_DELIMITERS = (",", "\t", ";")
_MAX_COLUMNS = 100


def message_columns(line: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return delimiter and names of a header line that has a column of records; None if it has none."""
    text = line.rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    for delimiter in _DELIMITERS:
        try:
            names = tuple(name.strip() for name in next(csv.reader([text], delimiter=delimiter)))
        except (csv.Error, StopIteration):
            continue
        if len(names) <= _MAX_COLUMNS and any(name in TEXT_KEYS for name in names):
            return delimiter, names
    return None


def rows_of(
    lines: Iterable[tuple[bytes, Bad | None]], delimiter: str, names: tuple[str, ...]
) -> Iterator[Part | Bad]:
    """Yield what the rows below a header line carry; a row may go on over several lines."""
    bad: list[Bad] = []

    def texts() -> Iterator[str]:
        for line, fault in lines:
            if fault is None:
                yield line.decode("utf-8", "replace") + "\n"
            else:
                bad.append(fault)

    reader = csv.reader(texts(), delimiter=delimiter)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Bad("line_too_long", b"", f"CSV: {error}", complete=False)
            continue
        yield from bad
        bad.clear()
        if row is None:
            return
        if not row or tuple(name.strip() for name in row) == names:
            yield Part("other", 1)
            continue
        found = None
        if len(row) == len(names):
            found = open_envelope(dict(zip(names, row, strict=True)), lambda _: False)
        if found is None:
            text = delimiter.join(row)
            few = "too_few_fields" if len(row) <= len(names) else "too_many_fields"
            yield Bad(few, text.encode(), f"{len(row)} values under {len(names)} names")
        else:
            yield from found
