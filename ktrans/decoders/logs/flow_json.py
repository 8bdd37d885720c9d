"""Any log of JSON records, by a mapping in the pipeline file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from ktrans.api import Context
from ktrans.decoders.mapped.config import Given, MappingConfig
from ktrans.decoders.mapped.decoder import MappedDecoder
from ktrans.decoders.mapped.frames import Json
from ktrans.decoders.mapped.from_config import mapping_table
from ktrans.decoders.mapped.table import parse_path


class FlowJsonDecoderConfig(MappingConfig, type="flow_json"):
    """Options of the `flow_json` decoder."""

    fields: Mapping[str, Given] = Field(
        description=(
            "The values that each flow column is read from: a dotted path, several of which the "
            "first with a value counts, or a path with options (unit, format, values, pattern and so on)."
        ),
        examples=[
            {
                "start_time": {"path": "ts", "unit": "ms"},
                "src_addr": "conn.src.ip",
                "action": {"path": "verdict", "values": {"allow": "accept", "deny": "reject"}},
            }
        ],
    )
    records: str | None = Field(
        default=None,
        description=(
            "Path of the array with the records, for documents that wrap them; arrays that lie "
            "between are passed."
        ),
        examples=["hits.hits"],
    )

    @field_validator("records")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None:
            parse_path(value)
        return value


class FlowJsonDecoder(MappedDecoder[FlowJsonDecoderConfig]):
    """Decodes JSON records by the mapping in the pipeline file."""

    def __init__(self, config: FlowJsonDecoderConfig, context: Context | None = None) -> None:
        context = context or Context()
        self.table = mapping_table(config, context.clock)
        arrays = () if config.records is None else (parse_path(config.records),)
        self.frames = (Json(arrays=arrays),)
        super().__init__(config, context)

    def is_record(self, value: Mapping[str, Any]) -> bool:
        """Return whether a JSON object is a record, or the document of records that is configured."""
        records = self.config.records
        return super().is_record(value) or (records is not None and parse_path(records)[0] in value)
