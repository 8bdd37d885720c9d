"""Tables whose files are in S3, and Iceberg tables in Iceberg's own REST catalogue."""

import uuid

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyiceberg.catalog import load_catalog

from ktrans.api import AccessError, ConfigError, Context, RetryableError
from ktrans.registry.catalogue import Catalogue

from .conftest import Lake, stage, write
from .test_lake_tables import FLOWS, flows

PATH = "out/date={start_time:%Y-%m-%d}/"


@pytest.fixture
def rest(iceberg_server):
    """The options of a namespace of its own in the REST catalogue."""
    table = f"n{uuid.uuid4().hex}.flows"
    return {
        "catalog": "rest",
        "uri": iceberg_server.url,
        "table": table,
        "token": "token-of-the-catalogue",
    }


def loaded(options, **more):
    given = {"type": options["catalog"], "uri": options["uri"]} | more
    with load_catalog("default", **given) as catalog:
        return catalog.load_table(options["table"])


def test_a_table_in_a_rest_catalogue_gets_each_epoch_once(rest, tmp_path):
    lake = Lake(tmp_path, "iceberg")
    staged = stage(lake.sink(FLOWS, path=PATH, table=rest), flows())
    for _ in range(2):
        lake.sink(FLOWS, path=PATH, table=rest).commit(*staged)
    wider = FLOWS.append(pa.field("more", pa.int64()))
    write(lake.sink(wider, path=PATH, table=rest), flows(more=pa.array([1, 2, 3, 4])), 2)
    table = loaded(rest)
    assert table.scan().to_arrow().num_rows == 8
    assert [str(field.transform) for field in table.spec().fields] == ["day"]
    assert len(table.metadata.snapshots) == 2
    assert "commit.retry.num-retries" not in table.properties
    lake.sink(wider, path=PATH, table=rest).check()


def test_writers_of_a_rest_catalogue_exclude_each_other(rest, tmp_path):
    lake = Lake(tmp_path, "iceberg")
    first = lake.sink(FLOWS, path=PATH, table=rest)
    second = lake.sink(FLOWS, path=PATH, table=rest)
    write(first, flows())
    staged = stage(first, flows(2), 2)
    table = second.table.table
    stale = table._load(second.table._store())
    first.commit(*staged)
    real, answers = table._load, [stale, stale]
    table._load = lambda store: answers.pop() if answers else real(store)
    second.commit(*staged)
    assert not answers
    assert loaded(rest).scan().to_arrow().num_rows == 6


def test_a_catalogue_that_is_away_may_come_back(tmp_path, monkeypatch):
    from ktrans_lake import errors

    monkeypatch.setattr(errors, "_OUTAGE", errors.Retry(attempts=2, first_wait_secs=0.01))
    lake = Lake(tmp_path, "iceberg")
    away = {"catalog": "rest", "uri": "http://127.0.0.1:9/"}
    sink = lake.sink(FLOWS, table=away)
    with pytest.raises(RetryableError, match=r"read the Iceberg table lake\.flows"):
        sink.check()
    sink.table._checked = True
    with pytest.raises(RetryableError):
        write(sink, flows())


def test_a_database_that_cannot_be_opened_is_a_mistake(tmp_path):
    lake = Lake(tmp_path, "iceberg", {"catalog": "sql", "uri": "sqlite:////nowhere/at/all.db"})
    with pytest.raises(ConfigError, match="unable to open database file"):
        lake.sink(FLOWS).check()


class Bucket:
    """A bucket on moto, and sinks that write tables there."""

    def __init__(self, server, folder):
        self.name = f"t-{uuid.uuid4().hex}"
        self.server, self.folder = server, folder
        self.client = server.client("s3")
        self.client.create_bucket(Bucket=self.name)
        self.access = {"endpoint_url": server.url, "region": server.region, "path_style": True}
        self.keys = {"access_key_id": "testing", "secret_access_key": "testing"}
        self.root = f"s3://{self.name}/out"

    def sink(self, table, **options):
        registry = Catalogue()
        raw = {"type": "s3", "bucket": self.name, "path": PATH, **self.access, **self.keys}
        config = registry.config("sink", {**raw, "table": table, **options})
        made = registry.build("sink", config, Context("flows", "lake", self.folder, registry))
        made.bind(FLOWS)
        return made

    @property
    def storage(self):
        return {
            "aws_endpoint": self.server.url,
            "aws_region": self.server.region,
            "aws_allow_http": "true",
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing",
        }


@pytest.fixture
def bucket(s3_server, tmp_path):
    made = Bucket(s3_server, tmp_path)
    yield made
    made.client.close()


def test_a_delta_table_in_s3_gets_each_epoch_once(bucket):
    delta = {"type": "delta"}
    sink = bucket.sink(delta)
    sink.check()
    staged = stage(sink, flows())
    for _ in range(2):
        bucket.sink(delta).commit(*staged)
    write(bucket.sink(delta), flows(2), 2)
    table = DeltaTable(bucket.root, storage_options=bucket.storage)
    assert table.to_pyarrow_table().num_rows == 6
    assert table.version() == 2
    bucket.sink(delta).check()
    sink.close()


def test_an_iceberg_table_in_s3_gets_each_epoch_once(bucket, tmp_path):
    uri = f"sqlite:///{tmp_path}/catalog.db"
    options = {"type": "iceberg", "table": "lake.flows", "catalog": "sql", "uri": uri}
    staged = stage(bucket.sink(options), flows())
    for _ in range(2):
        bucket.sink(options).commit(*staged)
    write(bucket.sink(options), flows(2), 2)
    more = {"s3.endpoint": bucket.server.url, "s3.region": bucket.server.region}
    keys = {"s3.access-key-id": "testing", "s3.secret-access-key": "testing"}
    table = loaded(options, **more, **keys)
    assert table.location() == bucket.root
    assert table.scan().to_arrow().num_rows == 6


@pytest.mark.parametrize(
    ("raw", "root", "options"),
    [
        (
            {"type": "azure_blob", "account": "lake", "container": "c", "account_key": "a2V5"},
            "abfss://c@lake.dfs.core.windows.net/out",
            {"azure_storage_account_name": "lake", "azure_storage_account_key": "a2V5"},
        ),
        (
            {"type": "azure_blob", "account": "lake", "container": "c", "sas_token": "?sv=1"},
            "abfss://c@lake.dfs.core.windows.net/out",
            {"azure_storage_account_name": "lake", "azure_storage_sas_token": "sv=1"},
        ),
        (
            {
                "type": "azure_blob",
                "container": "c",
                "connection_string": "AccountName=lake;AccountKey=a2V5==;EndpointSuffix=x",
            },
            "abfss://c@lake.dfs.core.windows.net/out",
            {"azure_storage_account_name": "lake", "azure_storage_account_key": "a2V5=="},
        ),
        (
            {"type": "gcs", "bucket": "lake", "endpoint": "http://127.0.0.1:1"},
            "gs://lake/out",
            {"google_skip_signature": "true", "google_base_url": "http://127.0.0.1:1"},
        ),
    ],
)
def test_the_libraries_get_the_credentials_of_the_sink(raw, root, options, tmp_path):
    registry = Catalogue()
    config = registry.config("sink", {"path": PATH, "table": {"type": "delta"}, **raw})
    sink = registry.build("sink", config, Context("flows", "lake", tmp_path, registry))
    assert (sink.table_root(), sink.table_options()) == (root, options)
    sink.close()


def test_a_bucket_that_is_not_there_is_named(bucket):
    sink = bucket.sink({"type": "delta"}, bucket="no-such-bucket-here")
    with pytest.raises((ConfigError, AccessError), match="no-such-bucket-here"):
        sink.check()
