"""What the engine expects of a sink, of one whose files are part of a table: readers of the table see
whole epochs, once."""

import pytest

from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import SCHEMA

from .conftest import Lake


class TableCase(SinkCase):
    def __init__(self, lake):
        self.lake = lake

    def sink(self, name="sink", pipeline="flows"):
        return self.lake.sink(SCHEMA, name, pipeline, path="out/account={account}/")

    def rows(self):
        return [] if self.lake.table() is None else sorted(self.lake.rows()["n"].to_pylist())

    def leftovers(self):
        return [str(path) for path in self.lake.folder.rglob(".*")]


class TestDelta(SinkContract):
    kind = "table"
    covers = ("delta",)

    @pytest.fixture
    def case(self, tmp_path):
        return TableCase(Lake(tmp_path, "delta"))


class TestIceberg(SinkContract):
    kind = "table"
    covers = ("iceberg",)

    @pytest.fixture
    def case(self, tmp_path):
        return TableCase(Lake(tmp_path, "iceberg"))
