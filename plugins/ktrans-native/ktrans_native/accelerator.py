"""The native readers and encoders, as the api names them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ktrans.api import Accelerator, JsonReader, JsonShape, LineReader, LineShape, RowPart
from ktrans.kit.accelerate import guarded
from ktrans_native import _native
from ktrans_native.join import join
from ktrans_native.json import json_reader
from ktrans_native.lines import line_reader


class NativeAccelerator(Accelerator):
    """Readers and encoders in Rust; a panic in them never ends the process."""

    name = f"ktrans-native {_native.VERSION}"

    def lines(self, shape: LineShape) -> LineReader:
        """Return a reader of lines of fields."""
        return guarded(line_reader(shape), self.name, _native.PanicException)

    def json(self, shape: JsonShape) -> JsonReader:
        """Return a reader of JSON lines."""
        return guarded(json_reader(shape), self.name, _native.PanicException)

    def join(self, parts: Sequence[RowPart], rows: int) -> pa.Array | None:
        """Join the parts of rows into one text for each row."""
        return guarded(join, self.name, _native.PanicException)(parts, rows)
