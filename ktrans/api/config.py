"""The base class of a component's options.

>>> from pydantic import Field
>>> from ktrans.api import ComponentConfig
>>> class AcmeConfig(ComponentConfig, type="acme"):
...     batch_rows: int = Field(1000, ge=1, description="Rows a request.", examples=[500])
>>> AcmeConfig.model_validate({"type": "acme", "batch_rows": 50}).batch_rows
50
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import get_annotations
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ktrans.api.errors import ConfigError
from ktrans.api.spec import Kind


class ComponentConfig(BaseModel):
    """Options of one component; a strict pydantic model that never prints its input.

    Subclass it with the `type` of the component, and give every field a description and an example:
    the reference page and `ktrans schema` are made from them.

    A field that holds another component (a sink's `format`) is annotated `ComponentConfig` and
    listed in `nested` with that component's kind; the loader validates it first.

    The catalogue shows `example`, which has to be valid, and the first examples of required options.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        defer_build=True,  # many models are only a base of others
    )

    nested: ClassVar[dict[str, Kind]] = {}
    example: ClassVar[dict[str, Any]] = {}

    type: str = Field("", min_length=1, description="Which component this is.")

    def folders(self) -> Sequence[str]:
        """Return the folders, as options name them, whose files a decoder or enricher reads.

        A file or a folder that is added or removed there counts as a change of the pipeline. Files that
        are the value of an option need no mention.
        """
        return ()

    def __init_subclass__(cls, type: str | None = None, **options: Any) -> None:  # noqa: A002
        """Narrow `type` to the given one, which becomes the default."""
        super().__init_subclass__(**options)
        if type:
            cls.__annotations__ = {**get_annotations(cls), "type": Literal[type]}
            named = Field(type, description="Which component this is.", examples=[type])
            setattr(cls, "type", named)  # noqa: B010 - pydantic takes it as the field's default

    def remarks(self) -> Iterator[ConfigError]:
        """Yield what is valid but probably not meant so, for `validate` to warn of."""
        yield from ()
