"""What Parquet files hold beyond the rows that the contract suite compares."""

import io

import pyarrow as pa
import pytest

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
