"""Sinks of files with a table, built as new processes build them, and the tables as others read them."""

import pytest
from deltalake import DeltaTable
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError

from ktrans.api import Context, EpochId, TaskId
from ktrans.registry.catalogue import Catalogue

KINDS = ("delta", "iceberg")
NAME = "lake.flows"


class Lake:
    """A folder with one table, of one kind.

    Args:
        catalog: options of an Iceberg catalogue; by default a SQLite file in the folder.
    """

    def __init__(self, folder, kind, catalog=None):
        self.folder, self.kind = folder, kind
        self.root = folder / "out"
        self.catalog = catalog or {"catalog": "sql", "uri": f"sqlite:///{folder}/catalog.db"}
        self.registry = Catalogue()

    @property
    def options(self):
        """The option `table` of the sink."""
        if self.kind == "delta":
            return {"type": "delta"}
        return {"type": "iceberg", "table": NAME, **self.catalog}

    def sink(self, schema, name="lake", pipeline="flows", table=None, **options):
        raw = {"type": "file", "path": "out/", "table": {**self.options, **(table or {})}}
        config = self.registry.config("sink", {**raw, **options})
        context = Context(pipeline, name, base_dir=self.folder, registry=self.registry)
        sink = self.registry.build("sink", config, context)
        sink.bind(schema)
        return sink

    def table(self):
        """The table as its own library sees it now; None if there is none."""
        if self.kind == "delta":
            there = DeltaTable.is_deltatable(str(self.root))
            return DeltaTable(str(self.root)) if there else None
        with self.pyiceberg() as catalog:
            try:
                return catalog.load_table(NAME)
            except NoSuchTableError:
                return None

    def pyiceberg(self):
        config = {**self.catalog, "type": self.catalog["catalog"]}
        del config["catalog"]
        return load_catalog("default", **config)

    def rows(self):
        """All rows, as an Arrow table."""
        table = self.table()
        return table.to_pyarrow_table() if self.kind == "delta" else table.scan().to_arrow()

    def commits(self):
        """How many commits added files."""
        table = self.table()
        if table is None:
            return 0
        if self.kind == "delta":
            return sum(one["operation"] == "WRITE" for one in table.history())
        return len(table.metadata.snapshots)

    def files(self):
        return sorted(p for p in self.root.rglob("*.parquet") if "/." not in str(p))


def stage(sink, rows, number=1, history="abc123", *, decided=False):
    """Stage rows as the only task of an epoch; return the epoch and its receipts."""
    epoch = EpochId("flows", number, history, decided=decided)
    sink.prepare(epoch)
    writer = sink.writer(TaskId(epoch, 0))
    writer.write(writer.encode(rows))
    return epoch, [writer.finish()]


def write(sink, rows, number=1, history="abc123"):
    """Write rows as one epoch."""
    sink.commit(*stage(sink, rows, number, history))


@pytest.fixture(params=KINDS)
def lake(request, tmp_path):
    """A lake of each kind."""
    return Lake(tmp_path, request.param)


@pytest.fixture
def delta(tmp_path):
    return Lake(tmp_path, "delta")


@pytest.fixture
def iceberg(tmp_path):
    return Lake(tmp_path, "iceberg")
