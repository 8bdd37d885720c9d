"""The decoder of flow logs in the format of AWS: text and Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import ComponentConfig, Payload
from ktrans.decoders.aws.layout import Dialect, parse_format
from ktrans.decoders.base import FlowDecoder

if TYPE_CHECKING:
    from ktrans.decoders.aws.reader import AwsReader
    from ktrans.decoders.frames.block import Block
    from ktrans.decoders.rows import DecodedRows


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


C = TypeVar("C", bound=AwsTextConfig)


class AwsDecoder(FlowDecoder[C]):
    """Decodes one text log in the format of AWS: lines, Parquet."""

    json_records = False
    dialect: ClassVar[Dialect]

    def prepare(self, schema: pa.Schema) -> None:
        """Have the reader build the columns of this schema."""
        if "_reader" in self.__dict__:
            self._reader.prepare(schema)

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object into blocks; its form shows in its first bytes, not in its name."""
        return self._reader.blocks(payload)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Block]:
        """Cut the raw bytes of rejects into blocks; their layout says how they were read."""
        return self._reader.replay(payload, layout)

    def layout_of(self, block: Block) -> str | None:
        """Return the fields of the lines, by which they are read again."""
        return self._reader.layout_of(block)

    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of a block of lines or of a Parquet file."""
        return self._reader.rows(block)

    @cached_property
    def _reader(self) -> AwsReader:
        """What reads; imported with the first object, which many runs do not have."""
        from ktrans.decoders.aws.reader import AwsReader

        text = self.config.format
        configured = None if text is None else parse_format(text, self.dialect)
        return AwsReader(self.dialect, configured, self.context, self._schema)
