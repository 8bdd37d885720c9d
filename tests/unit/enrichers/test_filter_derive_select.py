"""filter, derive and select: rows and columns by expression and by name."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ktrans.api import ConfigError
from ktrans.enrichers.derive import DeriveEnricher, DeriveEnricherConfig
from ktrans.enrichers.filter import FilterEnricher, FilterEnricherConfig
from ktrans.enrichers.select import SelectEnricher, SelectEnricherConfig
from ktrans.expressions import ExpressionError
from ktrans.flow.schema import FLOW_SCHEMA, TEXT


@pytest.fixture
def batch() -> pa.RecordBatch:
    return pa.record_batch(
        {
            "src_addr": pa.array(["10.0.0.1", None, "8.8.8.8"], TEXT),
            "bytes": pa.array([100, None, 7]),
            "packets": pa.array([10, 0, 7]),
        }
    )


def run(enricher, batch):
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    return out


def where(text):
    return FilterEnricher(FilterEnricherConfig(where=text))


def test_filter_keeps_only_what_is_true(batch):
    assert run(where("bytes > 10"), batch)["bytes"].to_pylist() == [100]
    assert run(where("not bytes > 10"), batch)["bytes"].to_pylist() == [7]
    assert run(where("null"), batch).num_rows == 0
    assert run(where("packets >= 0"), batch).equals(batch)


def test_filter_needs_what_its_condition_reads():
    assert list(where("bytes > 1 and action = 'x'").needs()) == ["action", "bytes"]


def test_filter_refuses_what_is_no_condition(batch):
    with pytest.raises(ExpressionError, match="a bool is needed") as error:
        where("bytes").bind(batch.schema)
    assert "comparison" in error.value.hint
    with pytest.raises(ExpressionError, match="unknown column 'byte'"):
        where("byte > 1").bind(batch.schema)


def derive(**columns):
    return DeriveEnricher(DeriveEnricherConfig(columns=columns))


def test_derive_computes_in_order(batch):
    enricher = derive(bits="bytes * 8", per="bits / packets", tag="'x' || src_addr")
    out = run(enricher, batch)
    assert out["bits"].to_pylist() == [800, None, 56]
    assert out["per"].to_pylist() == [80.0, None, 8.0]
    assert out["tag"].to_pylist() == ["x10.0.0.1", None, "x8.8.8.8"]
    assert list(enricher.needs()) == ["bytes", "packets", "src_addr"]
    assert list(enricher.adds()) == ["bits", "per", "tag"]


def test_derive_may_replace_a_column_in_place(batch):
    out = run(derive(bytes="bytes + 1", more="bytes"), batch)
    assert out.schema.names == ["src_addr", "bytes", "packets", "more"]
    assert out["more"].to_pylist() == [101, None, 8]


def test_derive_says_whether_it_changes_counters():
    assert derive(bytes="bytes * 8").changes_counters
    assert not derive(bits="bytes * 8").changes_counters
    assert not DeriveEnricher.changes_counters


def test_derive_refuses_a_column_without_type(batch):
    with pytest.raises(ConfigError, match="'x' is always null") as error:
        derive(x="null").bind(batch.schema)
    assert "cast(null as int)" in error.value.hint


def select(**options):
    return SelectEnricher(SelectEnricherConfig(**options))


def test_select_keeps_in_the_order_given(batch):
    out = run(select(keep=["packets", "*_addr", "p*"]), batch)
    assert out.schema.names == ["packets", "src_addr"]


def test_select_drops_and_renames(batch):
    enricher = select(drop=["pack*"], rename={"src_addr": "ip"})
    assert run(enricher, batch).schema.names == ["ip", "bytes"]
    assert list(enricher.needs()) == ["src_addr"]
    assert list(enricher.adds()) == ["ip"]


def test_select_lets_the_decoder_leave_out_what_it_throws_away():
    assert list(select(keep=["bytes", "*_port", "mine"]).keeps()) == [
        "bytes", "mine", "src_port", "dst_port",
    ]  # fmt: skip
    dropping = select(drop=["attrs", "*_rev"]).keeps()
    assert set(FLOW_SCHEMA.names) - set(dropping) == {"attrs", "bytes_rev", "packets_rev"}


def test_errors_name_the_option(batch):
    for enricher, field in [
        (where("nope"), "where"),
        (derive(a="bytes", b="nope"), "columns.b"),
        (select(keep=["nope"]), "keep"),
        (select(rename={"nope": "x"}), "rename"),
    ]:
        with pytest.raises(ConfigError) as error:
            enricher.bind(batch.schema)
        assert error.value.field == field
    with pytest.raises(ExpressionError) as error:
        where("1 +").needs()
    assert error.value.field == "where"


def test_select_keeps_what_is_known_about_columns():
    schema = select(rename={"bytes": "octets"}).bind(FLOW_SCHEMA)
    assert schema.metadata == FLOW_SCHEMA.metadata
    assert schema.field("octets").metadata == FLOW_SCHEMA.field("bytes").metadata


def test_select_does_not_miss_a_flow_column_that_nobody_asked_for(batch):
    assert run(select(drop=["attrs", "*_rev"]), batch).equals(batch)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"keep": ["packet"]}, "select: keep: there is no column 'packet'", "'packets'"),
        ({"drop": ["src_adr"]}, "select: drop: there is no column 'src_adr'", "'src_addr'"),
        ({"rename": {"x": "y"}}, "select: rename: there is no column 'x'", "there are:"),
        ({"rename": {"bytes": "packets"}}, "two columns would be named 'packets'", "drop one"),
        ({"drop": ["*"]}, "no column is left", "keep at least one"),
    ],
)
def test_select_errors(batch, options, message, hint):
    with pytest.raises(ConfigError, match=message) as error:
        select(**options).bind(batch.schema)
    assert hint in error.value.hint


def test_select_takes_keep_or_drop():
    with pytest.raises(ValidationError, match="either keep or drop"):
        SelectEnricherConfig(keep=["a"], drop=["b"])
    with pytest.raises(ValidationError, match="at least one of"):
        SelectEnricherConfig()
