"""Any log of lines with key=value pairs, by a mapping in the pipeline file."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ktrans.api import Context
from ktrans.decoders.mapped.config import Given, LinesConfig
from ktrans.decoders.mapped.decoder import MappedDecoder
from ktrans.decoders.mapped.frames import KeyValue
from ktrans.decoders.mapped.from_config import mapping_table
from ktrans.decoders.read.key_value import KeyValueLayout


class FlowKvDecoderConfig(LinesConfig, type="flow_kv"):
    """Options of the `flow_kv` decoder."""

    fields: Mapping[str, Given] = Field(
        description=(
            "The key that each flow column is read from, several of which the first with a value "
            "counts, or a key (`path`) with options (unit, format, values, pattern and so on). "
            "`_prefix` is the text before the first pair of a line, `_words` are the words without "
            "a key behind it. Of a key that is there twice the first value counts."
        ),
        examples=[{"src_addr": "SRC", "start_time": {"path": "_prefix", "pattern": "^[^ ]+"}}],
    )
    delimiter: str = Field(
        default=" ",
        min_length=1,
        max_length=1,
        description="Character between pairs; a space means any run of blanks.",
        examples=[";"],
    )
    separator: str = Field(
        default="=",
        min_length=1,
        max_length=1,
        description="Character between key and value.",
        examples=[":"],
    )


class FlowKvDecoder(MappedDecoder[FlowKvDecoderConfig]):
    """Decodes lines of key=value pairs by the mapping in the pipeline file."""

    def __init__(self, config: FlowKvDecoderConfig, context: Context | None = None) -> None:
        context = context or Context()
        self.table = mapping_table(config, context.clock)
        layout = KeyValueLayout(
            config.delimiter, config.separator, config.quote, config.null_values, config.comments
        )
        self.frames = (KeyValue(layout, config.skip_lines),)
        super().__init__(config, context)
