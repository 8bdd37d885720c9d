"""The `to_otel` enricher: flow rows as OpenTelemetry log records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa
from pydantic import Field

from ktrans.enrichers.reshape.base import ReshapeConfig, ReshapeEnricher, Rule
from ktrans.enrichers.reshape.batch_view import View
from ktrans.flow.columns import coalesce_text
from ktrans.flow.target_schemas.attribute import Attribute
from ktrans.flow.target_schemas.otel import OTEL


class ToOtelEnricherConfig(ReshapeConfig, type="to_otel"):
    """Turns flow rows into log records of OpenTelemetry's data model.

    A record has timeUnixNano, observedTimeUnixNano, severityNumber, body (native fields without an
    attribute), resource and attributes; the latter two are structs whose members have the dotted
    names of the semantic conventions. What these have no name for is written as the Collector's
    AWS and Google Cloud encodings do (`vendor`), and for every cloud alike below `flow.` (`flow`).
    Rows without any address are filtered.
    """

    parts: list[Literal["vendor", "flow", "attrs", "lineage"]] = Field(
        ["vendor", "flow", "attrs"],
        description=(
            "Optional parts: `vendor` attributes such as aws.vpc.flow.bytes, `flow` attributes "
            "such as flow.bytes for all clouds, `attrs` with the other native fields as body, "
            "`lineage` with the object that the row came from."
        ),
        examples=[["flow"], ["vendor", "attrs"]],
    )


def _middle(view: View, attribute: Attribute) -> pa.Array:
    src, src_packet, dst, dst_packet = attribute.columns
    return coalesce_text(view.differing(src, src_packet), view.differing(dst, dst_packet))


class ToOtelEnricher(ReshapeEnricher[ToOtelEnricherConfig]):
    """Makes OpenTelemetry log records."""

    target = "opentelemetry"
    table = OTEL
    own_rules: Mapping[str, Rule] = {"middle": _middle}

    def parts(self) -> Sequence[str]:
        """Return the optional parts."""
        return self.config.parts

    def extra_path(self, path: str) -> tuple[str, ...]:
        """Put further attributes among the others, their dots kept."""
        return ("attributes", path)
