"""The options of a model, as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from ruamel.yaml import YAML

from ktrans.api import ComponentConfig
from ktrans.api.spec import KINDS
from ktrans.kit.units import Duration, Size
from ktrans.registry.catalogue import first_party
from ktrans.registry.options import example_of, list_options, type_name, yaml_text


class Config(ComponentConfig):
    """Options of a sink."""

    room: Size = Field(4 << 20, description="How much.", examples=[1 << 20])
    wait: Duration | None = Field(None, description="How long.", examples=[90])
    path: str = Field(description="Where.", examples=["out/"])
    format: ComponentConfig | None = Field(None, description="How.")


CATALOGUE = first_party()
TYPES = [(kind, spec.type) for kind in KINDS for spec in CATALOGUE.specs(kind)]


@pytest.mark.parametrize(("kind", "name"), TYPES, ids="-".join)
def test_the_example_of_every_component_is_valid(kind, name):
    example = YAML(typ="safe").load(yaml_text(example_of(CATALOGUE.model(kind, name))))
    assert CATALOGUE.config(kind, example).type == name


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(categories=["L", "N", "P"])),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.from_regex(r"[a-z]+x", fullmatch=True), inner)
        ),
    )
)
def test_plain_data_as_yaml_is_read_as_it_was(value):
    assert YAML(typ="safe").load(yaml_text(value)) == value


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
