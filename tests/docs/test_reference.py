"""The reference pages are made from the models, completely."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from ktrans.config.model import SECTIONS
from ktrans.decoders.azure.fields import COLUMN_OF
from ktrans.decoders.azure.log import AzureLog
from ktrans.expressions import function_names
from ktrans.flow.schema import COLUMNS
from ktrans.registry.builtin import DECODERS
from ktrans.registry.catalogue import first_party

sys.path.insert(0, str(Path(__file__).parents[2] / "docs/site"))

from expressions_page import expressions_page
from mapping_page import mapping_page, native_fields
from reference import configuration_page, flow_page


def test_every_option_of_every_component_is_on_the_page():
    catalogue = first_party()
    page = configuration_page(catalogue)
    for kind in ("source", "decoder", "enricher", "format", "sink"):
        for spec in catalogue.specs(kind):
            assert f"### {kind} `{spec.type}`" in page
            for name in catalogue.model(kind, spec.type).model_fields:
                assert name == "type" or f"| `{name}` |" in page
    for section in SECTIONS:
        assert f"| `{section}` |" in page
    assert "| `min_age` | duration | `0s` |" in page


def test_the_comparison_counts_what_the_catalogue_has():
    catalogue = first_party()
    sources, sinks = (len(catalogue.specs(kind)) for kind in ("source", "sink"))
    page = (Path(__file__).parents[2] / "docs/comparison.md").read_text()
    assert f"| sources and sinks | {sources} and {sinks} |" in page
    assert f"| one schema for all | yes, {len(COLUMNS)} columns;" in page


def test_every_column_is_on_the_page_of_the_flow_schema():
    page = flow_page()
    for column in COLUMNS:
        assert f"| `{column.name}` |" in page
    assert "| `start_time` | timestamp[us, UTC] |" in page
    assert "| `src_addr` | text |" in page
    assert "map of text to text" in page


def test_the_page_on_mappings_has_every_column_with_its_sources_and_targets():
    page = mapping_page()
    for column in COLUMNS:
        assert f"## `{column.name}`" in page
    section = page.partition("## `src_addr`")[2].partition("## `dst_addr`")[0]
    assert "| from aws_vpc | `srcaddr` | |" in section
    assert "| to OCSF | `src_endpoint.ip` |" in section
    assert "| to ECS | `source.ip` |" in section
    assert "| to OpenTelemetry | `source.address` |" in section


def test_the_page_on_expressions_has_every_function_and_the_values_of_columns():
    page = expressions_page()
    for usage in function_names().values():
        assert f"| `{usage}` |" in page
    assert "| `action` | `'accept'`, `'reject'`, `'drop'` |" in page
    assert "`'aws.vpc'`" in page
    assert "6 tcp" in page


def test_native_fields_are_those_of_flow_columns():
    natives = native_fields()
    assert {"aws_vpc", "aws_tgw"} <= set(natives)
    names = {column.name for column in COLUMNS}
    for decoder, fields in natives.items():
        assert set(fields) <= names, decoder


def test_every_column_that_a_declared_log_fills_is_on_the_page_on_mappings():
    natives = native_fields()
    for spec in DECODERS:
        module = importlib.import_module(spec.build.partition(":")[0])
        if isinstance(log := getattr(module, "LOG", None), AzureLog):
            assert set(COLUMN_OF.values()) <= set(natives[spec.type])
        elif log is not None:
            fields = getattr(log, "columns", ()) or log.fields
            filled = {each.column for each in fields} - {None}
            assert filled <= set(natives[spec.type])
