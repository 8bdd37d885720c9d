"""The contract of enrichers: `bind` returns the true schema, `apply` is pure, no row is lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from ktrans.api import Context, Enricher, EpochId, StatefulEnricher, TaskId
from ktrans.api.spec import Kind
from ktrans.flow.schema import FLOW_SCHEMA, TEXT
from ktrans.testing.arrow import assert_batches_equal
from ktrans.testing.contracts.covered import ComponentContract
from ktrans.testing.epochs import Epochs

TASK = TaskId(EpochId("p", 1), 0)


def _flow(i: int) -> dict[str, Any]:
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


def flows(count: int) -> pa.RecordBatch:
    """Return rows of the flow schema: IPv4 and IPv6, with and without values."""
    return pa.RecordBatch.from_pylist([_flow(i) for i in range(count)], schema=FLOW_SCHEMA)


def plain(batch: pa.RecordBatch, kind: pa.DataType) -> pa.RecordBatch:
    """Return the batch with plain text instead of dictionaries."""
    columns = [
        column.cast(kind) if field.type == TEXT else column
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def with_odd_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with unused values and a null in its dictionaries."""
    columns = []
    for column in batch.columns:
        if column.type == TEXT:
            values = pa.concat_arrays([pa.array(["unused", None]), column.dictionary])
            codes = [1 if i is None else i + 2 for i in column.indices.to_pylist()]
            columns.append(pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _all_null() -> pa.RecordBatch:
    arrays = [
        pa.array(["u"] * 3, TEXT) if field.name == "source_uri" else pa.nulls(3, field.type)
        for field in FLOW_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=FLOW_SCHEMA)


BATCHES = {
    "flows": flows(100),
    "empty": flows(0),
    "one": flows(1),
    "slice": flows(100).slice(13, 30),
    "few of many": flows(100).slice(50, 2),
    "all null": _all_null(),
    "plain text": plain(flows(50), pa.string()),
    "large text": plain(flows(50), pa.large_string()),
    "odd dictionaries": with_odd_dictionaries(flows(60)),
}


def drain(run: Enricher[Any], batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Return the output of some batches, including what is held back to the end."""
    parts = [*[run.apply(batch) for batch in batches], *run.finish()]
    return [part for part in parts if part.num_rows] or parts[:1]


def applied(enricher: Enricher[Any], batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the output of one batch."""
    return pa.concat_batches(drain(enricher.begin(TASK), [batch]))


def _total(batch: pa.RecordBatch, name: str) -> int:
    if name not in batch.schema.names:
        return 0
    return sum(value or 0 for value in batch.column(name).to_pylist())


class EnricherContract(ComponentContract):
    """Inherit this and override `make`."""

    kind: ClassVar[Kind] = "enricher"

    def make(self, context: Context) -> Enricher[Any]:
        """Build the enricher; files that it needs may be written below `context.base_dir`."""
        raise NotImplementedError

    @pytest.fixture
    def component(self, enricher: Enricher[Any]) -> Enricher[Any]:
        """Return the enricher."""
        return enricher

    @pytest.fixture
    def enricher(self, tmp_path: Path) -> Iterator[Enricher[Any]]:
        """Return the enricher, and close it after the test."""
        with self.make(Context(base_dir=tmp_path)) as made:
            yield made

    @pytest.mark.parametrize("name", BATCHES)
    def test_bind_gives_the_schema_of_what_apply_returns(
        self, enricher: Enricher[Any], name: str
    ) -> None:
        """Whatever the batch looks like."""
        batch = BATCHES[name]
        schema = enricher.bind(batch.schema)
        out = applied(enricher, batch)
        assert out.schema.equals(schema, check_metadata=True)
        out.validate(full=True)

    @pytest.mark.parametrize("name", BATCHES)
    def test_the_same_batch_gives_the_same_rows_and_is_left_alone(
        self, enricher: Enricher[Any], name: str
    ) -> None:
        """An epoch that is done again gives the same output."""
        batch = BATCHES[name]
        before = batch.to_pylist()
        enricher.bind(batch.schema)
        first = applied(enricher, batch)
        assert_batches_equal(first, applied(enricher, batch))
        assert batch.to_pylist() == before

    def test_one_enricher_serves_batches_with_different_dictionaries(
        self, enricher: Enricher[Any]
    ) -> None:
        """However the rows are cut into batches."""
        whole = flows(100)
        enricher.bind(whole.schema)
        parts = [with_odd_dictionaries(whole.slice(i, 20)) for i in range(0, 100, 20)]
        out = drain(enricher.begin(TASK), parts)
        rows = [row for part in out for row in part.to_pylist()]
        assert rows == applied(enricher, whole).to_pylist()

    @pytest.mark.parametrize("name", BATCHES)
    def test_rows_go_only_where_the_enricher_says_so(
        self, enricher: Enricher[Any], name: str
    ) -> None:
        """The ledger would stop the run otherwise."""
        batch = BATCHES[name]
        enricher.bind(batch.schema)
        out = applied(enricher, batch)
        assert out.num_rows <= batch.num_rows
        if not enricher.drops_rows:
            assert out.num_rows == batch.num_rows
        assert not list(enricher.begin(TASK).finish())

    @pytest.mark.parametrize("cuts", [(50,), (1, 99), (0, 0, 30, 31, 100), tuple(range(0, 100, 9))])
    def test_tasks_that_share_an_epoch_make_the_same_of_it(
        self, enricher: Enricher[Any], cuts: tuple[int, ...]
    ) -> None:
        """However the rows are grouped into tasks, and in each epoch."""
        if enricher.scope != "partials":
            return
        assert isinstance(enricher, StatefulEnricher)
        whole = BATCHES["flows"]
        edges = [0, *cuts, whole.num_rows]
        tasks = [[whole.slice(start, end - start)] for start, end in pairwise(edges)]
        enricher.bind(whole.schema)
        one, several = Epochs(enricher), Epochs(enricher)
        for last in (False, False, True):
            alone, shared = one.run([whole], last=last), several.run(*tasks, last=last)
            assert shared.rows == alone.rows
            assert shared.accounting == alone.accounting
            assert sorted(map(str, shared.refused)) == sorted(map(str, alone.refused))
            assert (shared.update and shared.update.open) == (alone.update and alone.update.open)

    def test_counters_stay_unless_the_enricher_says_so(self, enricher: Enricher[Any]) -> None:
        """It may move them from row to row and from one direction to the other, not lose them."""
        batch = BATCHES["flows"]
        enricher.bind(batch.schema)
        out = applied(enricher, batch)
        if enricher.changes_counters:
            for name in ("bytes", "packets"):
                both = [
                    sum(_total(b, column) for column in (name, f"{name}_rev")) for b in (batch, out)
                ]
                assert both[0] == both[1]
            return
        kept = {row["source_pos"]: (row["bytes"], row["packets"]) for row in batch.to_pylist()}
        for row in out.to_pylist():
            assert (row["bytes"], row["packets"]) == kept[row["source_pos"]]

    def test_it_works_with_only_the_columns_that_it_needs(self, enricher: Enricher[Any]) -> None:
        """Others are not even decoded if nobody reads them."""
        batch = BATCHES["flows"]
        needs = enricher.needs()
        if needs is None:
            return
        slim = batch.select([*dict.fromkeys([*needs, "source_pos", "bytes"])])
        schema = enricher.bind(slim.schema)
        out = applied(enricher, slim)
        assert out.schema.equals(schema, check_metadata=True)
        for name in enricher.adds():
            assert name in out.schema.names

    def test_what_it_adds_is_new_or_replaced(self, enricher: Enricher[Any]) -> None:
        """`adds` is what `bind` shows."""
        batch = BATCHES["flows"]
        schema = enricher.bind(batch.schema)
        new = set(schema.names) - set(batch.schema.names)
        assert new == set(enricher.adds()) - set(batch.schema.names)

    def test_nothing_comes_out_that_it_does_not_keep_or_add(self, enricher: Enricher[Any]) -> None:
        """The decoder leaves out what cannot come out."""
        keeps = enricher.keeps()
        if keeps is not None:
            out = enricher.bind(FLOW_SCHEMA)
            assert set(out.names) <= {*keeps, *enricher.adds()}
