"""How sources and sinks are named for lineage: by OpenLineage's conventions, without credentials."""

from __future__ import annotations

import pytest

from ktrans.api import Context
from ktrans.registry.catalogue import Catalogue

PARQUET = {"format": {"type": "parquet"}}
AZURITE = "DefaultEndpointsProtocol=https;AccountName=flows;AccountKey=c2VjcmV0;EndpointSuffix=x"
KAFKA = {"bootstrap_servers": ["k1:9092", "k2:9092"]}
INFLUX = {
    "url": "https://influx.example.org",
    "api": "v2",
    "org": "o",
    "bucket": "flows",
    "token": "t",
}

CASES = [
    ("source", {"type": "file", "paths": ["/l/a/*/x.log", "/l/b.log"]}, [("file", "/l/a"), ("file", "/l/b.log")]),
    ("source", {"type": "file", "paths": "*.log"}, [("file", "{base}")]),
    ("sink", {"type": "file", "path": "lake/d={start_time:%Y}/", **PARQUET}, [("file", "{base}/lake")]),
    ("source", {"type": "stdin"}, []),
    ("sink", {"type": "blackhole"}, []),
    ("source", {"type": "s3", "bucket": "b", "prefix": "AWSLogs/12"}, [("s3://b", "AWSLogs")]),
    ("source", {"type": "s3", "bucket": "b", "prefix": ["a/", "c/d/"]}, [("s3://b", "a"), ("s3://b", "c/d")]),
    ("source", {"type": "s3", "bucket": "b"}, [("s3://b", "/")]),
    ("sink", {"type": "s3", "bucket": "b", "path": "out/{account_id}/", **PARQUET}, [("s3://b", "out")]),
    ("source", {"type": "sqs", "queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"},
     [("sqs://sqs.eu-central-1.amazonaws.com", "1/q")]),
    ("sink", {"type": "sqs", "queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"},
     [("sqs://sqs.eu-central-1.amazonaws.com", "1/q")]),
    ("source", {"type": "gcs", "bucket": "logs", "prefix": "l/"}, [("gs://logs", "l")]),
    ("sink", {"type": "gcs", "bucket": "lake", "path": "out/", **PARQUET}, [("gs://lake", "out")]),
    ("source", {"type": "azure_blob", "account": "flows", "container": "c", "prefix": "a/"},
     [("abfss://c@flows.dfs.core.windows.net", "a")]),
    ("sink", {"type": "azure_blob", "connection_string": AZURITE, "container": "c", "path": "o/", **PARQUET},
     [("abfss://c@flows.dfs.core.windows.net", "o")]),
    ("source", {"type": "kafka", "topics": ["a", "b"], **KAFKA}, [("kafka://k1:9092", "a"), ("kafka://k1:9092", "b")]),
    ("sink", {"type": "kafka", "topic": "flows", **KAFKA}, [("kafka://k1:9092", "flows")]),
    ("source", {"type": "pubsub", "project": "p", "subscription": "subs"}, [("pubsub", "subscription:p:subs")]),
    ("sink", {"type": "pubsub", "project": "p", "topic": "topic"}, [("pubsub", "topic:p:topic")]),
    ("sink", {"type": "clickhouse", "url": "https://ch.example.org"},
     [("clickhouse://ch.example.org:8443", "default.flows")]),
    ("sink", {"type": "postgres", "url": "postgresql://u:secret@db.example.org/net", "table": "t"},
     [("postgres://db.example.org:5432", "net.public.t")]),
    ("sink", {"type": "influxdb", **INFLUX}, [("influxdb://influx.example.org:443", "o/flows")]),
]  # fmt: skip
HOMES = {
    "s3": "ktrans_aws", "sqs": "ktrans_aws", "gcs": "ktrans_gcp", "pubsub": "ktrans_gcp",
    "azure_blob": "ktrans_azure", "kafka": "ktrans_kafka", "influxdb": "ktrans_influxdb",
    "clickhouse": "ktrans_clickhouse", "postgres": "ktrans_postgres",
}  # fmt: skip


def datasets(kind, raw, base):
    if raw["type"] in HOMES:
        pytest.importorskip(HOMES[raw["type"]])
    catalogue = Catalogue()
    context = Context("p", kind, base, catalogue)
    component = catalogue.build(kind, catalogue.config(kind, raw), context)
    return [(found.namespace, found.name) for found in component.datasets()]


@pytest.mark.parametrize(("kind", "raw", "expected"), CASES)
def test_names_follow_the_conventions(kind, raw, expected, tmp_path):
    named = [(space, name.replace("{base}", str(tmp_path))) for space, name in expected]
    assert datasets(kind, raw, tmp_path) == named
