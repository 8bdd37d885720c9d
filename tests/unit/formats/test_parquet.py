"""What Parquet files hold beyond the rows that the contract suite compares."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ktrans.api import ConfigError, Context
from ktrans.registry.catalogue import Catalogue


def written(batch, **options):
    catalogue = Catalogue()
    config = catalogue.config("format", {"type": "parquet", **options})
    form = catalogue.build("format", config, Context())
    form.bind(batch.schema)
    stream = io.BytesIO()
    writer = form.open(stream)
    writer.write(form.encode(batch))
    writer.finish()
    return stream.getvalue()


def test_a_column_that_grows_steadily_is_stored_as_differences():
    batch = pa.record_batch({"source_pos": pa.array(range(100_000))})
    assert len(written(batch)) < len(written(batch, delta=[])) / 1.5
    with pytest.raises(ConfigError, match="whole numbers"):
        written(pa.record_batch({"x": pa.array(["a"])}), delta=["x"])


def test_numbers_can_be_stored_byte_by_byte():
    batch = pa.record_batch(
        {"dst_port": pa.array([443, None, 65535], pa.int32()), "name": ["a"] * 3}
    )
    data = written(batch, byte_stream_split=["dst_port"])
    port = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    assert "BYTE_STREAM_SPLIT" in port.encodings
    assert "RLE_DICTIONARY" not in port.encodings
    assert pq.read_table(io.BytesIO(data))["dst_port"].to_pylist() == [443, None, 65535]
    with pytest.raises(ConfigError, match="numbers, but name"):
        written(batch, byte_stream_split=["name"])
    with pytest.raises(ConfigError, match="do not have: gone"):
        written(batch, byte_stream_split=["gone"])


def test_a_column_has_one_encoding():
    with pytest.raises((ConfigError, ValidationError), match="source_pos"):
        Catalogue().config("format", {"type": "parquet", "byte_stream_split": ["source_pos"]})


def test_a_file_may_leave_out_what_is_null_in_all_its_rows():
    batch = pa.record_batch(
        {
            "a": pa.array([1, 2]),
            "text": pa.array([None, None], pa.string()).dictionary_encode(),
            "b": pa.array([None, 1], pa.int32()),
        }
    )
    whole, less = (
        pq.read_table(io.BytesIO(written(batch, null_columns=choice)))
        for choice in ("write", "omit")
    )
    assert whole.column_names == ["a", "text", "b"]
    assert less.column_names == ["a", "b"]
    assert less.equals(whole.select(["a", "b"]))


@pytest.mark.parametrize("rows", [0, 3])
def test_a_file_of_nothing_but_nulls_keeps_its_rows(rows):
    batch = pa.record_batch({"a": pa.nulls(rows, pa.int8()), "b": pa.nulls(rows, pa.int8())})
    assert pq.read_table(io.BytesIO(written(batch, null_columns="omit"))).num_rows == rows
