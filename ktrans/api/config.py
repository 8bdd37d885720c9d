"""The base class of a component's options."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ktrans.api.spec import Kind


class ComponentConfig(BaseModel):
    """Options of one component; a strict pydantic model that never prints its input.

    Subclass it, narrow `type` to a Literal, and give every field a description and an example: the
    reference page and `ktrans schema` are made from them.

    A field that holds another component (a sink's `format`) is annotated `ComponentConfig` and
    listed in `nested` with that component's kind; the loader validates it first.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    nested: ClassVar[dict[str, Kind]] = {}

    type: str = Field(description="Which component this is.")
