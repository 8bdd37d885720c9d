"""What every built-in enricher promises: `bind` tells the truth, and `apply` is pure."""

from __future__ import annotations

import datetime as dt
import importlib

import pyarrow as pa
import pytest

from ktrans.api import ComponentConfig, Context, EpochId, TaskId
from ktrans.flow.schema import FLOW_SCHEMA, TEXT
from ktrans.registry.builtin import ENRICHERS

TASK = TaskId(EpochId("p", 1), 0)
CONFIGS = {
    "filter": {"where": "action = 'accept' and dst_port in (443, 53)"},
    "derive": {"columns": {"bits": "bytes * 8", "note": "upper(action) || '!'"}},
    "select": {"drop": ["attrs"], "rename": {"src_addr": "source_ip"}},
    "cidr": {"table": "networks.csv"},
    "services": {},
    "labels": {},
    "hash_addresses": {"salt": "0123456789abcdef"},
    "sample": {"one_in": 2},
    "dedupe": {},
    "one_report": {},
    "stitch": {},
    "community_id": {},
    "zones": {"table": "networks.csv", "prices": "prices.csv"},
    "to_ocsf": {"keep": ["bytes", "packets", "source_pos"]},
    "to_ecs": {"keep": ["bytes", "packets", "source_pos"]},
    "to_otel": {"keep": ["bytes", "packets", "source_pos"]},
}

NETWORKS = "prefix,name,site,region\n10.0.0.0/8,corp,hq,eu-1\n::/0,v6,,\n"


def load(reference):
    module, name = reference.split(":")
    return getattr(importlib.import_module(module), name)


def flow(i):
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=i)
    return {
        "provider": "aws",
        "log_type": "aws.vpc",
        "start_time": start,
        "src_addr": [f"10.0.0.{i % 7}", f"2001:db8::{i}", None, "8.8.8.8"][i % 4],
        "dst_addr": f"93.184.{i % 3}.{i % 256}",
        "src_port": None if i % 5 == 0 else 40_000 + i,
        "dst_port": [443, 53, 22, None][i % 4],
        "protocol": [6, 17, 1, None][i % 4],
        "packets": i,
        "bytes": 100 * i,
        "action": ["accept", "reject", None][i % 3],
        "attrs": [("path", str(i))],
        "source_uri": "file:///a",
        "source_pos": i + 1,
    }


def rows(count):
    return pa.RecordBatch.from_pylist([flow(i) for i in range(count)], schema=FLOW_SCHEMA)


def plain(batch, kind):
    """Give the batch as a plugin might: text as plain strings."""
    columns = [
        column.cast(kind) if field.type == TEXT else column
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def with_odd_dictionaries(batch):
    """Give the batch with values that no row uses, and a null among the values."""
    columns = []
    for column in batch.columns:
        if column.type == TEXT:
            values = pa.concat_arrays([pa.array(["unused", None]), column.dictionary])
            indices = pa.array(
                [1 if i is None else i + 2 for i in column.indices.to_pylist()], pa.int32()
            )
            columns.append(pa.DictionaryArray.from_arrays(indices, values))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


BATCHES = {
    "flows": rows(100),
    "empty": rows(0),
    "one": rows(1),
    "slice": rows(100).slice(13, 30),
    "few of many": rows(100).slice(50, 2),
    "all null": pa.RecordBatch.from_arrays(
        [
            pa.array(["u"] * 3, TEXT) if field.name == "source_uri" else pa.nulls(3, field.type)
            for field in FLOW_SCHEMA
        ],
        schema=FLOW_SCHEMA,
    ),
    "plain text": plain(rows(50), pa.string()),
    "large text": plain(rows(50), pa.large_string()),
    "odd dictionaries": with_odd_dictionaries(rows(60)),
}


@pytest.fixture(params=ENRICHERS, ids=lambda spec: spec.type)
def spec(request):
    return request.param


@pytest.fixture
def enricher(spec, tmp_path):
    (tmp_path / "networks.csv").write_text(NETWORKS)
    (tmp_path / "prices.csv").write_text("path_class,price_per_gb\ninternet_out,0.09\n")
    config = load(spec.config)(type=spec.type, **CONFIGS[spec.type])
    with load(spec.build)(config, Context(base_dir=tmp_path)) as made:
        yield made


def drain(run, batches):
    """Give all that comes of some batches, what is held back to the end included."""
    parts = [*[run.apply(batch) for batch in batches], *run.finish()]
    return [part for part in parts if part.num_rows] or parts[:1]


def apply(enricher, batch):
    (out,) = drain(enricher.begin(TASK), [batch])
    return out


@pytest.mark.parametrize("name", BATCHES)
def test_bind_gives_the_schema_of_what_apply_returns(enricher, name):
    batch = BATCHES[name]
    schema = enricher.bind(batch.schema)
    out = apply(enricher, batch)
    assert out.schema.equals(schema, check_metadata=True)
    out.validate(full=True)


@pytest.mark.parametrize("name", BATCHES)
def test_the_same_batch_gives_the_same_rows_and_is_left_alone(enricher, name):
    batch = BATCHES[name]
    before = batch.to_pylist()
    enricher.bind(batch.schema)
    first = apply(enricher, batch)
    assert apply(enricher, batch).equals(first)
    assert batch.to_pylist() == before


def test_one_enricher_serves_batches_with_different_dictionaries(enricher):
    whole = rows(100)
    enricher.bind(whole.schema)
    parts = [with_odd_dictionaries(whole.slice(i, 20)) for i in range(0, 100, 20)]
    out = drain(enricher.begin(TASK), parts)
    assert [row for part in out for row in part.to_pylist()] == apply(enricher, whole).to_pylist()


@pytest.mark.parametrize("name", BATCHES)
def test_rows_go_only_where_the_enricher_says_so(enricher, name):
    batch = BATCHES[name]
    enricher.bind(batch.schema)
    out = apply(enricher, batch)
    if not enricher.drops_rows:
        assert out.num_rows == batch.num_rows
    assert out.num_rows <= batch.num_rows
    assert not list(enricher.begin(TASK).finish())


def _total(batch, name):
    if name not in batch.schema.names:
        return 0
    return sum(value or 0 for value in batch.column(name).to_pylist())


def test_counters_stay_unless_the_enricher_says_so(enricher):
    batch = BATCHES["flows"]
    enricher.bind(batch.schema)
    out = apply(enricher, batch)
    if enricher.changes_counters:  # it may move them from row to row, and from one way to the other
        for name in ("bytes", "packets"):
            both = [
                sum(_total(b, column) for column in (name, f"{name}_rev")) for b in (batch, out)
            ]
            assert both[0] == both[1]
        return
    original = {row["source_pos"]: (row["bytes"], row["packets"]) for row in batch.to_pylist()}
    for row in out.to_pylist():
        assert (row["bytes"], row["packets"]) == original[row["source_pos"]]


def test_it_works_with_only_the_columns_that_it_needs(enricher):
    batch = BATCHES["flows"]
    needs = enricher.needs()
    if needs is None:
        pytest.skip("it reads every column")
    slim = batch.select([*dict.fromkeys([*needs, "source_pos", "bytes"])])
    schema = enricher.bind(slim.schema)
    out = apply(enricher, slim)
    assert out.schema.equals(schema, check_metadata=True)
    for name in enricher.adds():
        assert name in out.schema.names


def test_what_it_adds_is_new_or_replaced(enricher):
    batch = BATCHES["flows"]
    schema = enricher.bind(batch.schema)
    new = set(schema.names) - set(batch.schema.names)
    assert new == set(enricher.adds()) - set(batch.schema.names)


def test_nothing_comes_out_that_it_does_not_keep_or_add(enricher):
    keeps = enricher.keeps()
    if keeps is None:
        return
    out = enricher.bind(FLOW_SCHEMA)
    assert set(out.names) <= {*keeps, *enricher.adds()}


def test_the_config_round_trips_and_is_strict(spec, enricher):
    model = type(enricher.config)
    assert issubclass(model, ComponentConfig)
    again = model.model_validate(enricher.config.model_dump())
    assert again == enricher.config
    assert model.model_fields["type"].default == spec.type
    with pytest.raises(ValueError, match="nonsense"):
        model(type=spec.type, **CONFIGS[spec.type], nonsense=1)


def test_every_option_has_a_description_and_an_example(enricher):
    model = type(enricher.config)
    assert model.__doc__
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.examples, name


def test_examples_of_options_are_valid(spec, enricher):
    model = type(enricher.config)
    for name, field in model.model_fields.items():
        for example in field.examples:
            options = {**CONFIGS[spec.type], name: example}
            if spec.type == "select":
                options = {name: example}
                if name == "type":
                    continue
            made = model(**{"type": spec.type, **options})
            assert getattr(made, name) is not None
