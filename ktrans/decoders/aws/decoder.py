"""What the decoders of AWS flow logs share: an object's bytes to blocks, blocks to rows."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from ktrans.api import (
    ComponentConfig,
    Context,
    Decoded,
    Decoder,
    Payload,
    reject_batch,
)
from ktrans.decoders import log_events
from ktrans.decoders.aws.layout import LOGGED_AT, Dialect, Layout, parse_format, parse_header
from ktrans.decoders.aws.rows import Lineage, Mapper
from ktrans.decoders.frames import log_events as events
from ktrans.decoders.frames.header_lines import HeaderFinder
from ktrans.decoders.frames.text import EventCutter, NoteBlock, TextCutter
from ktrans.decoders.read.faults import line_bounds
from ktrans.decoders.read.parquet_aws import (
    JSON_LAYOUT,
    PARQUET_MAGIC,
    RowsBlock,
    decode_rows,
    json_rows,
    parquet_blocks,
)
from ktrans.decoders.read.text_careful import Careful, read_carefully
from ktrans.decoders.read.text_fast import TextBlock, TextPlan, read_fast
from ktrans.flow.columns import flow_batch
from ktrans.flow.schema import TEXT, TIME, project
from ktrans.kit.text.inflate import Inflater, inflate_head, wait_for_more
from ktrans.kit.text.lines import whole_lines

HEAD_BYTES = 64 << 10


class AwsTextConfig(ComponentConfig):
    """Options of the decoders of AWS flow logs."""

    dialect: ClassVar[Dialect]

    format: str | None = Field(
        default=None,
        description=(
            "The fields of a line, in order, for logs without a header line (CloudWatch Logs, "
            "Firehose): as in the flow log's LogFormat, or plain names with blanks or commas "
            "between. A header line in the data takes precedence."
        ),
        examples=["${version} ${vpc-id} ${srcaddr} ${dstaddr} ${bytes}", "srcaddr dstaddr bytes"],
    )

    @field_validator("format")
    @classmethod
    def _names_fields(cls, value: str | None) -> str | None:
        if value is not None:
            parse_format(value, cls.dialect)
        return value


T = TypeVar("T", bound=AwsTextConfig)


class AwsDecoder(Decoder[T]):
    """Decodes the flow logs of one AWS service: text, CloudWatch envelopes, Parquet."""

    dialect: ClassVar[Dialect]

    def __init__(self, config: T, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._schema = project(None)
        self.finder = HeaderFinder(self.dialect)
        self._plans: dict[tuple[tuple[str, ...], bool, bool], TextPlan] = {}
        self._told: set[str] = set()
        self.configured = (
            None if config.format is None else parse_format(config.format, self.dialect)
        )

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Give the flow schema, narrowed to `columns`; only these are built."""
        self._schema = project(columns)
        self._plans.clear()
        return self._schema

    # Cutting: one thread for each payload.

    def blocks(self, payload: Payload) -> Iterator[Any]:
        """Cut an object into blocks; its form is told by its first bytes, never by its name."""
        inflater = Inflater(payload.open, self.context.limits, payload.uri)
        chunks = inflater.chunks()
        first = _first_bytes(chunks)
        if first.startswith(PARQUET_MAGIC) and inflater.codec == "plain":
            yield from parquet_blocks(payload, self.dialect, self._schema, self.tell)
            return
        stream = chain([first], chunks) if first else chunks
        if events.is_json(first):
            yield from self._event_blocks(payload, stream, inflater)
        else:
            yield from self._text_blocks(payload, inflater, chunks=stream)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Any]:
        """Give blocks for the raw bytes of rejects, whose layout says how they were read."""
        if layout is None:
            yield from self.blocks(payload)
        elif layout == JSON_LAYOUT:
            with payload.open() as stream:
                yield from json_rows(payload.uri, stream, self.dialect, self._schema)
        else:
            inflater = Inflater(payload.open, self.context.limits, payload.uri)
            known = Layout(tuple(layout.split()))
            yield from self._text_blocks(payload, inflater, known)

    def _text_blocks(
        self,
        payload: Payload,
        inflater: Inflater,
        layout: Layout | None = None,
        chunks: Iterable[bytes] | None = None,
    ) -> Iterator[TextBlock | NoteBlock]:
        cutter = TextCutter(self, payload, layout or self._layout_of_head(payload))
        for piece in whole_lines(payload, inflater, self.context.limits, chunks):
            yield from cutter.take(piece)
        yield from cutter.end()

    def _layout_of_head(self, payload: Payload) -> Layout | None:
        """Find the header of an object of which only the later part is read."""
        if not payload.offset:
            return self.configured
        try:
            head = inflate_head(payload.head(HEAD_BYTES), HEAD_BYTES)
        except io.UnsupportedOperation:
            return self.configured
        return parse_header(head.partition(b"\n")[0], self.dialect) or self.configured

    def _event_blocks(
        self, payload: Payload, chunks: Iterable[bytes], inflater: Inflater
    ) -> Iterator[TextBlock | NoteBlock]:
        cutter = EventCutter(self, payload)
        last: bytes | events.BadDocument | None = None
        for document in events.cut_documents(chunks, self.context.limits):
            if last is not None:
                yield from cutter.take(last)
            last = document
        if inflater.problem is not None:
            wait_for_more(payload, inflater.problem)
        if last is not None:
            yield from cutter.take(last, inflater.problem)
        yield from cutter.end()

    def tell(self, names: Iterable[str]) -> None:
        """Log each field name that is not known, once."""
        new = [n for n in names if n not in self.dialect.by_name and n not in self._told]
        self._told.update(new)
        for name in new:
            self.context.log.warning(
                "%s: the field %s is not known; it is kept in attrs",
                self.config.type,
                name,
                extra={"event": log_events.FIELD_UNKNOWN, "field": name},
            )

    def rejects(
        self,
        uri: str,
        positions: Any,
        reasons: Any,
        raw: Any,
        details: Any,
        layout: str | None,
        complete: Any = None,
    ) -> pa.RecordBatch:
        """Make rejects in this decoder's name."""
        return reject_batch(
            uri,
            positions,
            reasons,
            raw,
            details=details,
            decoder=self.config.type,
            version=self.version,
            layout=layout,
            complete=complete,
        )

    # Decoding: any thread.

    def decode(self, block: Any) -> Decoded:
        """Turn a block into rows and rejects."""
        if isinstance(block, NoteBlock):
            count = 0 if block.rejects is None else block.rejects.num_rows
            nothing = flow_batch(self._schema, 0, {})
            return Decoded(nothing, count + block.skipped, block.rejects, block.skipped)
        if isinstance(block, RowsBlock):
            return decode_rows(block, self.config.type, self.version)
        return self._decode_text(block)

    def _plan(self, layout: Layout, *, prefixed: bool) -> TextPlan:
        key = (layout.names, layout.guessed, prefixed)
        plan = self._plans.get(key)
        if plan is None:
            names = (LOGGED_AT, *layout.names) if prefixed else layout.names
            plan = TextPlan(layout, prefixed, Mapper(self.dialect, names, self._schema))
            plan = self._plans.setdefault(key, plan)
        return plan

    def _decode_text(self, block: TextBlock) -> Decoded:
        plan = self._plan(block.layout, prefixed=block.prefixed)
        if not plan.troubled and (native := read_fast(plan, block)) is not None:
            plan.trouble = 0
            positions = np.arange(block.first, block.first + block.lines)
            batch = plan.mapper.batch(native, block.lines, _lineage(block, positions))
            return Decoded(batch, block.lines + block.skipped, None, block.skipped)
        prefixed = self._plan(block.layout, prefixed=True)
        bare = self._plan(block.layout, prefixed=False)
        careful = read_carefully(prefixed, bare, block)
        plan.trouble = plan.trouble + 1 if careful.faults.lines or not plan.troubled else 0
        mapper = prefixed.mapper if LOGGED_AT in careful.native else bare.mapper
        lineage = _lineage(block, careful.lines + block.first, careful.lines)
        batch = mapper.batch(careful.native, len(careful.lines), lineage)
        return Decoded(
            batch,
            block.lines + block.skipped,
            self._text_rejects(block, careful),
            careful.skipped + block.skipped,
        )

    def _text_rejects(self, block: TextBlock, careful: Careful) -> pa.RecordBatch | None:
        lines, reasons, details = careful.faults.ordered()
        if not lines:
            return None
        starts, ends = careful.bounds or line_bounds(block.data)
        raw = [block.data[starts[line] : ends[line]] for line in lines]
        positions = [block.first + line for line in lines]
        return self.rejects(block.uri, positions, reasons, raw, details, block.layout.text)


def _lineage(block: TextBlock, positions: np.ndarray, lines: np.ndarray | None = None) -> Lineage:
    """Say where a block's rows come from; `lines` are their indexes unless it is all of them."""
    where = pa.array(positions, pa.int64())
    if block.events is None:
        return Lineage(block.uri, where)
    ids = pa.array(block.events.ids, pa.string()).dictionary_encode().cast(TEXT)
    micros = pc.multiply(pa.array(block.events.millis, pa.int64()), 1000).view(TIME)
    if lines is not None:
        kept = pa.array(lines)
        ids, micros = ids.take(kept), micros.take(kept)
    return Lineage(block.uri, where, ids, micros)


def _first_bytes(chunks: Iterator[bytes]) -> bytes:
    """Take enough of a stream to tell what it is."""
    first = b""
    for piece in chunks:
        first += piece
        if len(first) >= HEAD_BYTES or len(first.strip()) >= len(PARQUET_MAGIC) * 2:
            break
    return first
