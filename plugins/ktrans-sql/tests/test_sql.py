"""The enricher `sql`: held to the contract of all enrichers, and on its own ground."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from ktrans_sql.enricher import SqlEnricher, SqlEnricherConfig

from ktrans.api import ConfigError, RunError
from ktrans.flow.schema import FLOW_SCHEMA, TEXT
from ktrans.testing.contracts import EnricherContract
from ktrans.testing.contracts.enrichers import flows


def made(query, schema=FLOW_SCHEMA, **options):
    enricher = SqlEnricher(SqlEnricherConfig(query=query, **options))
    return enricher, enricher.bind(schema)


class TestSqlEnricher(EnricherContract):
    covers = ("sql",)

    def make(self, context):
        query = "select *, bytes * 8 as bits, upper(action) as shout from flows"
        return SqlEnricher(SqlEnricherConfig(query=query), context)

    def test_what_it_adds_is_new_or_replaced(self, enricher):
        """It cannot say what it adds before it has seen a schema, so it says nothing."""
        assert enricher.adds() == ()
        names = enricher.bind(FLOW_SCHEMA).names
        assert names == [*FLOW_SCHEMA.names, "bits", "shout"]


def test_columns_are_computed_and_the_flow_columns_keep_their_types():
    enricher, schema = made("select *, bytes // packets as size from flows")
    assert [f.type for f in schema][:-1] == FLOW_SCHEMA.types
    out = enricher.apply(flows(20))
    expected = [
        b // p if p else None
        for b, p in zip(out["bytes"].to_pylist(), out["packets"].to_pylist(), strict=True)
    ]
    assert out["size"].to_pylist() == expected
    assert out.select(FLOW_SCHEMA.names).to_pylist() == flows(20).to_pylist()
    enricher.close()


def test_rows_are_left_out_by_where_in_their_order():
    enricher, _ = made("select * from flows where bytes > 500", drops_rows=True)
    out = enricher.apply(flows(10))
    assert out["bytes"].to_pylist() == [600, 700, 800, 900]
    assert enricher.drops_rows
    enricher.close()


def test_a_value_that_does_not_fit_is_an_error_that_says_so():
    enricher, _ = made("select src_addr::int as n from flows")
    with pytest.raises(RunError, match=r"10\.0\.0\.0"):
        enricher.apply(flows(3))
    enricher.close()


def test_only_what_is_read_needs_to_be_there():
    schema = pa.schema([("bytes", pa.int64()), ("action", TEXT)])
    enricher, out = made(
        "select bytes, action = 'accept' as ok from flows", schema, reads=["bytes", "action"]
    )
    assert enricher.needs() == ["bytes", "action"]
    assert out.names == ["bytes", "ok"]
    enricher.close()


def test_a_query_that_is_wrong_is_an_error_of_the_configuration():
    with pytest.raises(ConfigError, match="bites") as caught:
        made("select bites from flows")
    assert caught.value.field == "query"


def test_files_are_out_of_reach_unless_allowed(tmp_path):
    (tmp_path / "sites.csv").write_text("action,word\naccept,welcome\n")
    join = f"select f.bytes, s.word from flows f left join read_csv('{tmp_path}/sites.csv') s using (action)"
    with pytest.raises(ConfigError):
        made(join)
    enricher, _ = made(join, files=True)
    words = set(enricher.apply(flows(9))["word"].to_pylist())
    assert words == {"welcome", None}
    enricher.close()


def test_batches_go_through_from_several_threads_at_once():
    enricher, _ = made("select *, bytes + 1 as more from flows")
    with ThreadPoolExecutor(4) as pool:
        outs = list(pool.map(enricher.apply, [flows(n) for n in range(1, 60)]))
    for n, out in enumerate(outs, 1):
        assert out["more"].to_pylist() == [100 * i + 1 for i in range(n)]
    enricher.close()
