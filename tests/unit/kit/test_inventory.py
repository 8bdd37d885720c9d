"""Snapshots of a cloud: dated files of a folder, the one in force for each row, equal addresses."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pydantic import Field

from ktrans.api import ConfigError, Context
from ktrans.flow.schema import TEXT
from ktrans.kit.inventory.enricher import InventoryEnricher
from ktrans.kit.inventory.files import SnapshotReader, time_of
from ktrans.kit.inventory.options import InventoryConfig
from ktrans.kit.inventory.records import Holder, Snapshot, save

TIME = pa.timestamp("us", tz="UTC")


class Nic(Holder, frozen=True, kw_only=True):
    name: str | None = None
    vpc_id: str | None = None


class NicConfig(InventoryConfig, type="nics"):
    columns: list[str] = Field(default=["name"])
    interface: str | None = None


class Nics(InventoryEnricher[NicConfig]):
    cloud = "nobody"
    values = {"name": (lambda one: one.name, "name"), "vpc": (lambda one: one.vpc_id, "network")}  # noqa: RUF012
    reader = SnapshotReader(Nic, None, "take one")

    def ask(self):
        return Snapshot(datetime(2026, 1, 1, tzinfo=UTC), [Nic(id="1", addresses=("10.0.0.1",))])


def day(number, hour=0, minute=0):
    return datetime(2026, 11, number, hour, minute, tzinfo=UTC)


def put(folder, name, taken, *nics):
    folder.mkdir(exist_ok=True)
    given = [{"id": str(at), **nic} for at, nic in enumerate(nics)]
    text = json.dumps({"taken": taken.isoformat(), "interfaces": given})
    (folder / name).write_text(text)


def rows(*pairs, **more):
    times, addresses = zip(*pairs, strict=True)
    columns = {"start_time": pa.array(times, TIME), "src_addr": pa.array(addresses, TEXT)}
    columns |= {name: pa.array(values, TEXT) for name, values in more.items()}
    return pa.record_batch(columns)


def found(folder, batch, **options):
    config = NicConfig(snapshot="snapshots", addresses=["src_addr"], **options)
    with Nics(config, Context(base_dir=folder)) as enricher:
        schema = enricher.bind(batch.schema)
        out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    out.validate(full=True)
    return out.to_pydict()


@pytest.fixture
def moved(tmp_path):
    """An address that moved from one machine to another and then to none."""
    folder = tmp_path / "snapshots"
    put(folder, "nics-20261105T120000Z.json", day(5, 12), {"name": "a", "addresses": ["10.0.0.1"]})
    put(folder, "nics-2026-11-06.json", day(6), {"name": "b", "addresses": ["10.0.0.1"]})
    put(folder, "untimed.json", day(7), {"name": "c", "addresses": ["10.0.0.2"]})
    (folder / "notes.txt").write_text("not a snapshot")
    (folder / ".hidden.json").write_text("nor this")
    return tmp_path


def test_each_row_gets_the_holder_that_its_address_had_then(moved):
    batch = rows(
        (day(6), "10.0.0.1"), (day(5, 13), "10.0.0.1"), (day(8), "10.0.0.1"), (day(8), "10.0.0.2"),
        (day(5, 23), "10.0.0.2"), (day(1), "10.0.0.1"), (None, "10.0.0.1"), (day(7), None),
    )  # fmt: skip
    got = found(moved, batch, time_column="as_of")
    assert got["src_name"] == ["b", "a", None, "c", None, "a", None, None]
    assert got["as_of"] == [
        day(6), day(5, 12), day(7), day(7), day(5, 12), day(5, 12), None, day(7)
    ]  # fmt: skip
    got = found(moved, batch, before_first="null")
    assert got["src_name"] == ["b", "a", None, "c", None, None, None, None]


def test_rows_of_one_time_and_no_rows(moved):
    assert found(moved, rows((day(6, 1), "10.0.0.1"), (day(6, 2), None)))["src_name"] == ["b", None]
    assert found(moved, rows((day(6, 1), "x")).slice(0, 0))["src_name"] == []


def test_many_snapshots_of_which_few_are_in_memory(tmp_path):
    for hour in range(24):
        put(tmp_path / "snapshots", f"{day(5, hour):%Y%m%dT%H%M%SZ}.json", day(5, hour),
            {"name": f"m{hour}", "addresses": ["10.0.0.1"]})  # fmt: skip
    hours = [*range(24), *range(23, -1, -1)]
    got = found(tmp_path, rows(*[(day(5, hour), "10.0.0.1") for hour in hours]))
    assert got["src_name"] == [f"m{hour}" for hour in hours]


def test_an_address_that_several_have_is_that_of_the_network_of_its_end(tmp_path):
    put(tmp_path / "snapshots", "20261105.json", day(5),
        {"name": "a", "vpc_id": "n1", "addresses": ["10.0.0.1", "2001:db8:0:0::/96"]},
        {"name": "b", "vpc_id": "n2", "addresses": ["10.0.0.1"]})  # fmt: skip
    addresses = ["10.0.0.1"] * 5 + ["2001:db8::7"]
    batch = rows(
        *[(day(5), one) for one in addresses],
        src_vpc=["n2", None, None, "n3", "n1", None],
        vpc_id=["n1", "n1", None, "n1", "n2", None],
    )
    assert found(tmp_path, batch)["src_name"] == ["b", "a", None, None, "a", "a"]


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("nics-20261105T120000Z.json", day(5, 12)),
        ("2026-11-05_12-00.json", day(5, 12)),
        ("2026-11-05T12:00:00Z.json", day(5, 12)),
        ("export.2026-11-05.jsonl", day(5)),
        ("i-99999999-20261105.json", day(5)),
        ("2026-11-05T12:00:00+02:00.json", day(5, 10)),
        ("2026-11-05T12:00:00-0530.json", day(5, 17, 30)),
        ("20261105T120000+0200.json", day(5, 10)),
        ("20261105T120000-0001.json", day(5, 12)),
        ("20261105T120000-nics.json", day(5, 12)),
        ("interfaces.json", None),
        ("123456789012.json", None),
        ("111112121212.json", None),
        ("111112121212-20261105.json", day(5)),
    ],
)
def test_the_time_in_a_name(name, time):
    assert time_of(name) == time


def test_folders_that_cannot_be_used_say_why(tmp_path):
    batch = rows((day(5), "10.0.0.1"))
    (tmp_path / "snapshots").mkdir()
    with pytest.raises(ConfigError, match="has no snapshots") as empty:
        found(tmp_path, batch)
    assert empty.value.hint == "take one"
    put(tmp_path / "snapshots", "a-20261105.json", day(5))
    put(tmp_path / "snapshots", "b-20261105.json", day(5))
    with pytest.raises(ConfigError, match="the same time"):
        found(tmp_path, batch)
    (tmp_path / "snapshots" / "b-20261105.json").rename(tmp_path / "snapshots" / "b-20261106.json")
    (tmp_path / "snapshots" / "b-20261106.json").write_text("{")
    with pytest.raises(ConfigError, match="not a snapshot"):
        found(tmp_path, batch)


def test_a_snapshot_that_is_saved_into_a_folder_has_its_time_in_its_name(tmp_path):
    path = save(Snapshot(day(5, 12), [Nic(id="1", name="a", addresses=("10.0.0.1",))]), tmp_path)
    assert path.name == "20261105T120000Z.json"
    assert Nics.reader.read(path).interfaces[0].name == "a"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_without_a_snapshot_tasks_stay_in_one_process():
    asks = Nics(NicConfig(addresses=["src_addr"]))
    assert (asks.runs, "nobody" in asks.bound_because) == ("here", True)
    assert Nics(NicConfig(snapshot="x")).runs == "anywhere"
