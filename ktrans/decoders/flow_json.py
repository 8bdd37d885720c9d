"""Any log of JSON records, by a mapping in the pipeline file: a format that nobody foresaw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from ktrans.api import ComponentConfig, Context
from ktrans.decoders._json_map import JsonMapDecoder
from ktrans.decoders._map_config import FieldMapping, check_constants, check_fields, make_table


class FlowJsonDecoderConfig(ComponentConfig):
    """Options of the `flow_json` decoder."""

    type: Literal["flow_json"] = Field(
        default="flow_json", description="Which component this is.", examples=["flow_json"]
    )
    fields: Mapping[str, str | tuple[str, ...] | FieldMapping] = Field(
        description=(
            "Where each flow column is found in a record: a dotted path, several to try in turn, "
            "or a path with options (unit, multiply, values, lower)."
        ),
        examples=[
            {
                "start_time": {"path": "ts", "unit": "ms"},
                "src_addr": "conn.src.ip",
                "action": {"path": "verdict", "values": {"allow": "accept", "deny": "reject"}},
            }
        ],
    )
    constants: Mapping[str, str] = Field(
        default_factory=dict,
        description="Text columns that say the same in every row.",
        examples=[{"provider": "acme", "log_type": "acme.firewall"}],
    )
    records: str | None = Field(
        default=None,
        description="The key of the array that holds the records, for documents that wrap them.",
        examples=["records"],
    )
    rest: Literal["attrs", "ignore"] = Field(
        default="attrs",
        description="What becomes of values that no column takes; nested ones are kept as JSON.",
        examples=["ignore"],
    )

    @field_validator("fields")
    @classmethod
    def _names_columns(
        cls, value: Mapping[str, str | tuple[str, ...] | FieldMapping]
    ) -> Mapping[str, str | tuple[str, ...] | FieldMapping]:
        check_fields(value)
        return value

    @field_validator("constants")
    @classmethod
    def _names_texts(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        check_constants(value)
        return value


class FlowJsonDecoder(JsonMapDecoder[FlowJsonDecoderConfig]):
    """Decodes JSON records by the mapping in the pipeline file."""

    def __init__(self, config: FlowJsonDecoderConfig, context: Context | None = None) -> None:
        self.table = make_table(config.fields, config.constants, rest=config.rest == "attrs")
        if config.records is not None:
            self.unwrap = (config.records,)
        super().__init__(config, context)
