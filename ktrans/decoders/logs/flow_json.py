"""Any log of JSON records, by a mapping in the pipeline file."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ktrans.api import Context
from ktrans.decoders.mapped.config import Given, MappingConfig
from ktrans.decoders.mapped.decoder import MappedDecoder
from ktrans.decoders.mapped.frames import Json


class FlowJsonDecoderConfig(MappingConfig, type="flow_json"):
    """Options of the `flow_json` decoder."""

    fields: Mapping[str, Given] = Field(
        description=(
            "The values that each flow column is read from: a dotted path, several of which the "
            "first with a value counts, or a path with options (unit, multiply, values, lower)."
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
        description="Key of the array with the records, for documents that wrap them.",
        examples=["records"],
    )


class FlowJsonDecoder(MappedDecoder[FlowJsonDecoderConfig]):
    """Decodes JSON records by the mapping in the pipeline file."""

    def __init__(self, config: FlowJsonDecoderConfig, context: Context | None = None) -> None:
        self.table = config.table()
        self.frames = (Json(arrays=() if config.records is None else (config.records,)),)
        super().__init__(config, context)
