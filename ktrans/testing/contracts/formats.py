"""The contract of formats: the same rows give the same bytes, whatever their columns."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from ktrans.api import Format
from ktrans.api.spec import Kind
from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.kit.rows.refuse import encode_rows
from ktrans.testing.contracts.covered import ComponentContract
from ktrans.testing.contracts.enrichers import plain, with_odd_dictionaries
from ktrans.testing.hostile import hostile_rows


def flow_batch(rows: int = 50, seed: int = 0) -> pa.RecordBatch:
    """Return rows of the whole flow schema, most columns null, as of a simple log."""
    start = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=seed)
    values: dict[str, list[Any]] = {
        "provider": ["aws"] * rows,
        "start_time": [start + timedelta(seconds=i % 7) for i in range(rows)],
        "end_time": [start + timedelta(seconds=60 + i % 7) for i in range(rows)],
        "src_addr": [f"192.0.2.{(i + seed) % 5}" for i in range(rows)],
        "protocol": [(6, 17, None)[i % 3] for i in range(rows)],
        "bytes": [10**i % 10**15 for i in range(rows)],
        "packets": list(range(rows)),
        "attrs": [[("traffic-path", "8")] if i % 10 == 0 else None for i in range(rows)],
        "source_uri": ["file:///var/log/flows.gz"] * rows,
        "source_pos": list(range(1 + seed * rows, 1 + rows + seed * rows)),
    }
    arrays = [pa.array(values.get(f.name, [None] * rows), f.type) for f in FLOW_SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=FLOW_SCHEMA)


def write(made: Format[Any], batches: list[pa.RecordBatch]) -> bytes:
    """Write a file and hold the writer to its own counts."""
    stream = io.BytesIO()
    writer = made.open(stream)
    for batch in batches:
        writer.write(made.encode(batch))
    rows = writer.finish()
    assert rows == sum(batch.num_rows for batch in batches)
    assert writer.tell() == len(stream.getvalue())
    return stream.getvalue()


class FormatContract(ComponentContract):
    """Inherit this and override `make`."""

    kind: ClassVar[Kind] = "format"

    @pytest.fixture
    def component(self) -> Format[Any]:
        """Return a format."""
        return self.make(FLOW_SCHEMA)

    def make(self, schema: pa.Schema) -> Format[Any]:
        """Build the format and bind it to a schema."""
        raise NotImplementedError

    def rows(self, data: bytes) -> list[dict[str, Any]] | None:
        """Read a file back, if there is a reader: one mapping a row."""
        del data
        return None

    def positions(self, data: bytes) -> list[int] | None:
        """Return `source_pos` of each row, if there is a reader; `rows` may not read every value."""
        found = self.rows(data)
        return None if found is None else [row["source_pos"] for row in found]

    def test_the_same_rows_give_the_same_bytes_again(self) -> None:
        """An epoch that is done again overwrites what it wrote before."""
        batches = [flow_batch(seed=seed) for seed in range(3)]
        first = write(self.make(FLOW_SCHEMA), batches)
        assert first
        assert first == write(self.make(FLOW_SCHEMA), batches)

    def test_every_row_comes_back_in_order(self) -> None:
        """Counted and told apart by their positions."""
        batches = [flow_batch(seed=seed) for seed in range(3)]
        found = self.rows(write(self.make(FLOW_SCHEMA), batches))
        if found is not None:
            assert [row["source_pos"] for row in found] == list(range(1, 151))

    def test_plain_text_columns_do_as_well_as_dictionaries(self) -> None:
        """Other plugins' enrichers may bring either."""
        batch = flow_batch()
        bare = plain(batch, pa.string())
        made = self.make(FLOW_SCHEMA)
        assert write(made, [bare]) == write(made, [batch])

    def test_values_that_no_row_uses_and_nulls_among_them_change_nothing(self) -> None:
        """Dictionaries differ from batch to batch."""
        clean = flow_batch()
        odd = with_odd_dictionaries(clean)
        made = self.make(FLOW_SCHEMA)
        odd_rows, clean_rows = self.rows(write(made, [odd])), self.rows(write(made, [clean]))
        assert odd_rows == clean_rows

    def test_a_slice_is_written_as_a_slice(self) -> None:
        """Offsets into shared buffers are where encoders go wrong."""
        batch = flow_batch()
        copied = pa.RecordBatch.from_pylist(batch.slice(7, 9).to_pylist(), schema=batch.schema)
        made = self.make(FLOW_SCHEMA)
        assert self.rows(write(made, [batch.slice(7, 9)])) == self.rows(write(made, [copied]))

    def test_no_row_stops_the_others(self) -> None:
        """Whoever writes the logs chooses the values: a row is written, or refused with a reason."""
        start = 1_772_323_200_000_000
        good = {"start_time": start, "end_time": start, "source_uri": "file:///a", "bytes": 1}
        batch = hostile_rows(FLOW_SCHEMA, good)
        made, stream = self.make(FLOW_SCHEMA), io.BytesIO()
        encoded, refused = encode_rows(made.encode, batch)
        writer = made.open(stream)
        for each in encoded:
            writer.write(each)
        count = sum(each.rows.num_rows for each in refused)
        assert writer.finish() + count == batch.num_rows
        assert count < batch.num_rows / 10, [each.detail for each in refused]
        assert all(each.reason and each.detail for each in refused)
        found = self.positions(stream.getvalue())
        if found is not None:
            bad = {n for each in refused for n in each.rows["source_pos"].to_pylist()}
            positions = [n for n in batch["source_pos"].to_pylist() if n not in bad]
            assert found == positions

    def test_a_file_without_rows_is_a_file(self) -> None:
        """Header and footer are written all the same."""
        found = self.rows(write(self.make(FLOW_SCHEMA), []))
        assert not found
