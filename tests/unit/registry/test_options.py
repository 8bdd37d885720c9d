"""The options of a model, as people read them."""

from __future__ import annotations

import pytest
from pydantic import Field

from ktrans.api import ComponentConfig
from ktrans.kit.units import Duration, Size
from ktrans.registry.options import list_options, type_name


class Config(ComponentConfig):
    """Options of a sink."""

    room: Size = Field(4 << 20, description="How much.", examples=[1 << 20])
    wait: Duration | None = Field(None, description="How long.", examples=[90])
    path: str = Field(description="Where.", examples=["out/"])
    format: ComponentConfig | None = Field(None, description="How.")


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (str, "text"),
        (int | None, "integer"),
        (list[str], "list of text"),
        (dict[str, int], "mapping of text to integer"),
        (tuple[int, ...], "list of integer"),
        (str | list[str], "text or list of text"),
    ],
)
def test_types_are_named_in_plain_words(annotation, text):
    assert type_name(annotation) == text


def test_required_options_come_first_and_values_have_their_units():
    path, room, wait, inner = list_options(Config, {"format": "format"})
    assert (path.name, path.required, path.type) == ("path", True, "text")
    assert (room.type, room.default, room.examples) == ("size", "4 MiB", ["1 MiB"])
    assert (wait.type, wait.default, wait.examples) == ("duration", None, ["90s"])
    assert inner.type == "format"
