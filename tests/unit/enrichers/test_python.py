"""The enricher `python`: functions of a module that is installed beside ktrans."""

import pyarrow as pa
import pytest

from ktrans.api import ConfigError, RunError
from ktrans.enrichers.python import PythonEnricher, PythonEnricherConfig

MODULE = """
import pyarrow as pa
import pyarrow.compute as pc

def doubled(batch, column="bytes", name="double"):
    return batch.append_column(name, pc.multiply(batch[column], 2))

def large(batch):
    return batch.filter(pc.greater(batch["bytes"], 10))

def fickle(batch):
    return batch if batch.num_rows else batch.append_column("x", pa.nulls(0, pa.int64()))

def fails(batch):
    raise KeyError("owner")

def table(batch):
    return pa.Table.from_batches([batch])

constant = 7
"""

BATCH = pa.record_batch({"bytes": [1, 20, None], "packets": [1, 2, 3]})


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "house_rules.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "house_rules", raising=False)


def made(name, **options):
    return PythonEnricher(PythonEnricherConfig(function=f"house_rules:{name}", **options))


def test_a_function_adds_a_column_with_its_options():
    enricher = made("doubled", options={"name": "twice"})
    schema = enricher.bind(BATCH.schema)
    assert schema.names == ["bytes", "packets", "twice"]
    assert enricher.apply(BATCH)["twice"].to_pylist() == [2, 40, None]


def test_only_the_columns_that_it_reads_reach_it():
    enricher = made("doubled", reads=["bytes"])
    assert enricher.needs() == ["bytes"]
    assert enricher.bind(BATCH.schema).names == ["bytes", "double"]
    assert enricher.apply(BATCH).schema.names == ["bytes", "double"]


def test_rows_may_be_left_out_if_that_is_said():
    enricher = made("large", drops_rows=True)
    enricher.bind(BATCH.schema)
    assert enricher.drops_rows
    assert enricher.apply(BATCH)["bytes"].to_pylist() == [20]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fails", "KeyError: 'owner'"),
        ("table", "returns a Table"),
        ("constant", "is not a function"),
        ("absent", "cannot be imported"),
    ],
)
def test_what_is_wrong_is_told_before_any_data(name, said):
    with pytest.raises(ConfigError, match=said) as caught:
        made(name).bind(BATCH.schema)
    assert caught.value.field == "function"


def test_a_function_that_changes_its_mind_stops_the_run():
    enricher = made("fickle")
    enricher.bind(BATCH.schema)
    with pytest.raises(RunError, match="other columns"):
        enricher.apply(BATCH)
