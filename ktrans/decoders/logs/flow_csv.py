"""Any log of delimited text, by a mapping in the pipeline file: CSV, TSV, values between blanks.

Source of the quoting: RFC 4180, save that a record is one line.
"""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from ktrans.api import (
    Context,
    Payload,
)
from ktrans.decoders import log_events
from ktrans.decoders.base import FlowDecoder
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.csv import cut_csv
from ktrans.decoders.mapped.config import Given, MappingConfig
from ktrans.decoders.read.csv import CsvParser, Dialect
from ktrans.decoders.rows import DecodedRows, RowBuilder
from ktrans.kit.text.inflate import inflate_head

_HEAD_BYTES = 64 << 10


class FlowCsvDecoderConfig(MappingConfig):
    """Options of the `flow_csv` decoder."""

    dotted: ClassVar[bool] = False

    type: Literal["flow_csv"] = Field(
        default="flow_csv", description="Which component this is.", examples=["flow_csv"]
    )
    fields: Mapping[str, Given] = Field(
        description=(
            "Which column of the text each flow column is: its name, several to try in turn, or a "
            "name (`path`) with options (unit, multiply, values, lower)."
        ),
        examples=[{"start_time": {"path": "ts", "unit": "s"}, "src_addr": "srcip"}],
    )
    columns: tuple[str, ...] | None = Field(
        default=None,
        description="Names of the columns in order, for text without a header line.",
        examples=[["ts", "srcip", "dstip", "bytes"]],
    )
    header: bool | None = Field(
        default=None,
        description=(
            "Whether the first line names the columns; if not said, it does unless `columns` are "
            "given. With both, the names given replace those of the line."
        ),
        examples=[True],
    )
    delimiter: str = Field(
        default=",",
        min_length=1,
        max_length=1,
        description="What stands between values; a space stands for any run of blanks.",
        examples=["\t"],
    )
    quote: str | None = Field(
        default='"',
        min_length=1,
        max_length=1,
        description="Around values that hold a delimiter; null if quotes mean nothing.",
        examples=["'"],
    )
    null_values: tuple[str, ...] = Field(
        default=("", "-"),
        description="Texts that mean that there is no value.",
        examples=[["", "N/A"]],
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.columns is None:
            if self.header is False:
                raise ValueError("without a header line, say what the columns are: `columns`")
            return self
        doubled = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if doubled:
            raise ValueError(f"columns: {', '.join(doubled)} is there twice")
        for name in (path[0] for each in self.table().columns for path in each.paths):
            if name not in self.columns:
                close = difflib.get_close_matches(name, self.columns, n=1, cutoff=0.6)
                hint = f"did you mean {close[0]}?" if close else f"there are {self.columns}"
                raise ValueError(f"fields: {name} is not one of `columns`; {hint}")
        return self


class FlowCsvDecoder(FlowDecoder[FlowCsvDecoderConfig]):
    """Decodes delimited text by the mapping in the pipeline file."""

    def __init__(self, config: FlowCsvDecoderConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._table = config.table()
        self._dialect = Dialect(config.delimiter, config.quote, config.null_values)
        self._has_header = config.columns is None if config.header is None else config.header
        self._told: set[str] = set()

    def prepare(self, schema: pa.Schema) -> None:
        """Prepare to build the columns of this schema."""
        self._builder = RowBuilder(self.config.table(), schema)
        self._parsers: dict[tuple[str, ...], CsvParser] = {}

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object into blocks of whole lines."""
        return self._blocks(payload, self._known_names(payload))

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Block]:
        """Give blocks for rejected lines, whose layout names their columns."""
        names = self._known_names(payload) if layout is None else tuple(json.loads(layout))
        return self._blocks(payload, names)

    def _known_names(self, payload: Payload) -> tuple[str, ...] | None:
        """Give the columns' names as far as they are known before the first line is read."""
        if self.config.columns is not None:
            return self.config.columns
        if not payload.offset:
            return None
        try:
            head = inflate_head(payload.head(_HEAD_BYTES), _HEAD_BYTES)
        except io.UnsupportedOperation:
            return None
        return self._names(head.partition(b"\n")[0])

    def _blocks(self, payload: Payload, names: tuple[str, ...] | None) -> Iterator[Block]:
        header = self._has_header and not payload.offset and (
            names is None or names is self.config.columns
        )  # fmt: skip
        read = partial(self._header_names, payload.uri) if header else None
        return cut_csv(payload, self.context.limits, names or (), read)

    def _header_names(self, uri: str, line: bytes) -> tuple[str, ...]:
        """Give the columns' names by an object's header line, unless the options name them."""
        if self.config.columns is not None:
            return self.config.columns
        names = self._names(line)
        self._tell(uri, names)
        return names

    def _names(self, line: bytes) -> tuple[str, ...]:
        """Read a header line; a name that is there before gets a number."""
        text = line.rstrip(b"\r").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
        text = " ".join(text.split()) if self._dialect.spaced else text
        names: list[str] = []
        for name in self._dialect.split(text) or []:
            bare = name.strip()
            names.append(bare if bare not in names else f"{bare}.{len(names) + 1}")
        return tuple(names)

    def _tell(self, uri: str, names: tuple[str, ...]) -> None:
        """Log mapped columns that an object does not have, once each."""
        for each in self._table.columns:
            wanted = [path[0] for path in each.paths]
            if each.column not in self._told and not set(wanted) & set(names):
                self._told.add(each.column)
                self.context.log.warning(
                    "flow_csv: %s has no column %s for %s",
                    uri,
                    " or ".join(wanted),
                    each.column,
                    extra={"event": log_events.COLUMN_MISSING, "uri": uri, "column": each.column},
                )

    def _parser(self, names: tuple[str, ...]) -> CsvParser:
        parser = self._parsers.get(names)
        if parser is None:
            paths = self._builder.shape.paths
            needed = None if paths is None else frozenset(path[0] for path in paths)
            numbers = frozenset(
                path[0] for path, kind in self._table.needed(self._schema.names).items()
                if kind == pa.int64()
            )  # fmt: skip
            parser = CsvParser(self._dialect, names, needed, numbers)
            self._parsers[names] = parser
        return parser

    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of a block of lines."""
        raw, skipped = self._parser(block.layout).read(block.data, block.records)
        rows = self._builder.build(raw, block.uri, block.first)
        return replace(rows, skipped=rows.skipped + skipped)

    def layout_of(self, block: Block) -> str | None:
        """Return the names of the columns, by which lines are read again."""
        return json.dumps(block.layout) if block.layout else None
