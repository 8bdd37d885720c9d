"""The options of one published list."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Column = Annotated[str, StringConstraints(min_length=1)] | Annotated[int, Field(ge=1)]


class ThreatList(BaseModel):
    """A published list: a file, and what rows say that are on it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(
        min_length=1,
        pattern=r"^[^,]+$",
        description="The name that rows get which are on the list.",
        examples=["drop"],
    )
    file: str = Field(
        min_length=1,
        description="The list as it was downloaded: one value a line, CSV, JSON or JSON lines, a STIX "
        "bundle, a MISP event or warning list, or OTX pulses. The content says which.",
        examples=["lists/drop_v4.json"],
    )
    column: Column | None = Field(
        None,
        description="Column with the address, network or domain, for CSV and JSON, by name or number; "
        "by default the first one that holds an address or network, or else a domain.",
        examples=["dst_ip", 2],
    )
    label: Column | None = Field(
        None,
        description="Column with the label, for CSV and JSON.",
        examples=["malware"],
    )
    category: str | None = Field(
        None,
        min_length=1,
        description="Label of entries that have none.",
        examples=["botnet"],
    )
    min_confidence: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Leave out indicators of STIX with a lower confidence; those without one stay.",
        examples=[50],
    )
