"""The base of every component's options: a strict pydantic model that never prints its input."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ktrans.api.spec import Kind


class ComponentConfig(BaseModel):
    """Options of one component, as written under its place in the pipeline file.

    Subclass it, narrow `type` to a Literal, and give every field a description and an example
    (`Field(description=..., examples=[...])`): the reference page and `ktrans schema` are made from
    them, and a test insists.

    A field whose value is itself a component (a sink's `format`) is annotated `ComponentConfig` and
    listed in `nested` with the kind it takes; the loader replaces the raw mapping by that
    component's validated model before this model sees it.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    nested: ClassVar[dict[str, Kind]] = {}

    type: str = Field(description="Which component this is.")
