"""Any log of delimited text, by a mapping in the pipeline file: CSV, TSV, values between blanks.

Source of the quoting: RFC 4180, except that a record is one line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import Field, model_validator

from ktrans.api import Context, Payload, RejectError
from ktrans.decoders import log_events
from ktrans.decoders.flow_rule import ADDRESSES
from ktrans.decoders.frames.block import Block
from ktrans.decoders.mapped.config import Given, LinesConfig, mappings_of, texts_of
from ktrans.decoders.mapped.decoder import MappedDecoder
from ktrans.decoders.mapped.frames import Delimited
from ktrans.decoders.mapped.from_config import mapping_table
from ktrans.decoders.names import shown
from ktrans.decoders.read.csv import Dialect


class FlowCsvDecoderConfig(LinesConfig, type="flow_csv"):
    """Options of the `flow_csv` decoder."""

    fields: Mapping[str, Given] = Field(
        description=(
            "The column of the text that each flow column is read from: its name, several of which "
            "the first with a value counts, or a name (`path`) with options (unit, format, values, "
            "pattern and so on)."
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
            "Whether the first line names the columns; by default it does unless `columns` is "
            "given. With both, `columns` replaces the names of the line."
        ),
        examples=[True],
    )
    delimiter: str = Field(
        default=",",
        min_length=1,
        max_length=1,
        description="Character between values; a space means any run of blanks.",
        examples=["\t"],
    )
    ragged: bool = Field(
        default=False,
        description=(
            "Whether lines may have fewer or more values than there are columns: missing values "
            "are null, and further ones go to attrs by their number. By default such lines are "
            "rejects."
        ),
        examples=[True],
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.columns is None:
            if self.header is False:
                raise ValueError("without a header line, name the columns: `columns`")
            return self
        doubled = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if doubled:
            raise ValueError(f"columns: {', '.join(doubled)} is named twice")
        for name in self.paths():
            if name not in self.columns:
                close = difflib.get_close_matches(name, self.columns, n=1, cutoff=0.6)
                hint = f"did you mean {close[0]}?" if close else f"there are {self.columns}"
                raise ValueError(f"fields: {name} is not one of `columns`; {hint}")
        return self


class FlowCsvDecoder(MappedDecoder[FlowCsvDecoderConfig]):
    """Decodes delimited text by the mapping in the pipeline file."""

    def __init__(self, config: FlowCsvDecoderConfig, context: Context | None = None) -> None:
        context = context or Context()
        self.table = mapping_table(config, context.clock)
        dialect = Dialect(
            config.delimiter, config.quote, config.null_values, config.comments, config.ragged
        )
        header = config.columns is None if config.header is None else config.header
        mapped = frozenset(config.paths())
        self.frames = (Delimited(dialect, config.columns, header, config.skip_lines, mapped),)
        self._missing: set[str] = set()
        super().__init__(config, context)

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object into blocks of whole lines."""
        layout: object = None
        for block in super().blocks(payload):
            if block.layout is not layout and block.layout is not None:
                layout = block.layout
                self._check_columns(payload.uri, block.layout.names)
            yield block

    def _check_columns(self, uri: str, names: tuple[str, ...]) -> None:
        """Check an object for the mapped columns; log others than required ones, once each.

        Raises:
            RejectError: it has none of the columns of an address or of the start time.
        """
        for column, given in self.config.fields.items() if names else ():
            wanted = [path for each in mappings_of(given) for path in texts_of(each.path)]
            if set(wanted) & set(names):
                continue
            if column in (*ADDRESSES, "start_time"):
                raise RejectError(
                    f"{uri}: there is no column {' or '.join(wanted)} for {column}; "
                    f"there are {shown(names)}",
                    code="no_layout",
                    hint="correct `fields`, or name the columns of text without a header: `columns`",
                )
            if column not in self._missing:
                self._missing.add(column)
                self.context.log.warning(
                    "flow_csv: %s has no column %s for %s",
                    uri,
                    " or ".join(wanted),
                    column,
                    extra={"event": log_events.COLUMN_MISSING, "uri": uri, "column": column},
                )
