"""The reference pages are made from the models, completely."""

from __future__ import annotations

import pytest

from ktrans.config.reference import configuration_page, flow_page
from ktrans.config.reference_mapping import mapping_page, native_fields
from ktrans.config.sections import SECTIONS
from ktrans.flow.schema import COLUMNS
from ktrans.registry.options import list_options, type_name


def test_every_option_of_every_component_is_on_the_page(catalogue):
    page = configuration_page(catalogue)
    for kind in ("source", "decoder", "enricher", "format", "sink"):
        for spec in catalogue.specs(kind):
            assert f"### {kind} `{spec.type}`" in page
            for name in catalogue.model(kind, spec.type).model_fields:
                assert name == "type" or f"| `{name}` |" in page
    for section in SECTIONS:
        assert f"| `{section}` |" in page
    assert "| `depth` | integer | `3` | How deep. | `3` |" in page
    assert '| `paths` | list of text | required | Where to look. | `["logs/"]` |' in page


def test_every_column_is_on_the_page_of_the_flow_schema():
    page = flow_page()
    for column in COLUMNS:
        assert f"| `{column.name}` |" in page
    assert "| `start_time` | timestamp[us, UTC] |" in page
    assert "| `src_addr` | text |" in page
    assert "map of text to text" in page


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


def test_required_options_come_first(catalogue):
    listed = list_options(catalogue.model("sink", "file"), {"format": "format"})
    assert [option.name for option in listed] == ["path", "format"]
    assert listed[1].type == "format"


def test_the_page_on_mappings_has_every_column_with_its_sources_and_targets():
    page = mapping_page()
    for column in COLUMNS:
        assert f"## `{column.name}`" in page
    section = page.partition("## `src_addr`")[2].partition("## `dst_addr`")[0]
    assert "| from aws_vpc | `srcaddr` | |" in section
    assert "| to OCSF | `src_endpoint.ip` |" in section
    assert "| to ECS | `source.ip` |" in section
    assert "| to OpenTelemetry | `source.address` |" in section


def test_native_fields_are_those_of_flow_columns():
    natives = native_fields()
    assert {"aws_vpc", "aws_tgw"} <= set(natives)
    names = {column.name for column in COLUMNS}
    for decoder, fields in natives.items():
        assert set(fields) <= names, decoder
