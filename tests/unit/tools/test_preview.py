"""A look at rows after any stage, and what is concatenated on the way."""

import pyarrow as pa
import pytest

from ktrans.api import UsageError
from ktrans.config.load import load_pipeline
from ktrans.engine.block_processor import concat
from ktrans.registry.catalogue import Catalogue
from ktrans.tools.preview import preview

LINES = "".join(
    f"2 111122223333 eni-a {src} {port} 6 {n} 10 1767225600 1767225660 ACCEPT OK\n"
    for n, (src, port) in enumerate(
        [("10.0.0.1 10.0.0.2", "40000 443"), ("10.0.0.2 10.0.0.1", "443 40000")], 1
    )
)


@pytest.fixture
def look(tmp_path):
    (tmp_path / "a.log").write_text(LINES + "bad line\n")
    path = tmp_path / "p.yaml"
    path.write_text(
        "source: {type: file, paths: a.log}\n"
        "decoder: {type: aws_vpc}\n"
        "enrichers: [{type: services}, {type: stitch}, {type: derive, columns: {n: packets + 1}}]\n"
        "sinks:\n"
        "  - {id: some, type: blackhole, where: packets > 100}\n"
        "  - {id: few, type: blackhole, columns: [src_addr, packets_rev]}\n"
    )
    catalogue = Catalogue()
    pipeline = load_pipeline(path, catalogue)
    return lambda after=None, rows=10: preview(pipeline, catalogue, rows, after)


def test_after_the_decoder_there_are_the_rows_as_they_came(look):
    rows, rejects = look("decoder")
    assert rows.column("packets").to_pylist() == [1, 2]
    assert rejects.column("raw").to_pylist() == ["bad line"]


def test_rows_that_an_enricher_holds_back_are_shown_too(look):
    rows, _ = look()
    assert rows.num_rows == 1
    assert rows.column("n").to_pylist() == [2]
    assert rows.column("packets_rev").to_pylist() == [2]


def test_after_a_sink_means_what_it_is_given(look):
    assert look("some")[0].num_rows == 0
    assert look("few")[0].column_names == ["src_addr", "packets_rev"]


def test_an_unknown_stage_is_an_error_with_a_suggestion(look):
    with pytest.raises(UsageError) as caught:
        look("servces")
    assert "services" in caught.value.hint


def test_batches_whose_dictionaries_hold_nulls_are_put_together():
    def batch(words, codes):
        column = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words))
        return pa.RecordBatch.from_arrays([column], ["x"])

    joined = concat([batch(["a", None], [0, 1, 0]), batch(["b", "a"], [0, 1])])
    assert joined.column("x").to_pylist() == ["a", None, "a", "b", "a"]
    assert joined.schema.field("x").type == pa.dictionary(pa.int32(), pa.string())
