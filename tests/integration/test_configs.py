"""The shipped pipelines between real ends, run as they are shipped, on servers of our own."""

import asyncio
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from http.client import HTTPConnection
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from pyarrow import fs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("compose"))
    return tmp_path


def run(project, name, **environ):
    command = [sys.executable, "-m", "ktrans", "run", "--json", f"configs/{name}.yaml"]
    done = subprocess.run(
        command,
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **environ},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def files(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def name_of(what):
    return f"{what}-{uuid.uuid4().hex[:10]}"


@pytest.mark.slow
def test_s3_to_influxdb(project, s3_server, influx_server):
    bucket, client = name_of("logs"), s3_server.client("s3")
    client.create_bucket(Bucket=bucket)
    for name, data in files(project / "examples/aws-logs"):
        client.put_object(Bucket=bucket, Key=name, Body=data)
    environ = {
        **s3_server.environ,
        "LOGS_BUCKET": bucket,
        "S3_ENDPOINT_URL": s3_server.url,
        "INFLUX_URL": influx_server.url,
    }
    receipt = run(project, "s3-to-influxdb", **environ)
    kept = receipt["ledger"]["stages"][0]["out"]
    found = influx_server.export("traffic")
    assert sum(value for _, _, value in found["bytes"]) == kept["bytes"] > 0
    assert sum(value for _, _, value in found["flows"]) == kept["rows"] > 1000
    assert run(project, "s3-to-influxdb", **environ)["outcome"] == "nothing_to_do"


@pytest.mark.slow
def test_s3_to_prometheus(project, s3_server, prometheus_server):
    bucket, client = name_of("logs"), s3_server.client("s3")
    client.create_bucket(Bucket=bucket)
    for name, data in files(project / "examples/aws-logs"):
        client.put_object(Bucket=bucket, Key=name, Body=data)
    environ = {
        **s3_server.environ,
        "LOGS_BUCKET": bucket,
        "S3_ENDPOINT_URL": s3_server.url,
        "PROMETHEUS_URL": f"{prometheus_server.url}/api/v1/write",
        "FLUSH": "at_end",
    }
    receipt = run(project, "s3-to-prometheus", **environ)
    kept = receipt["ledger"]["stages"][0]["out"]
    found = prometheus_server.samples("traffic_bytes", job="ktrans")
    assert sum(value for series in found.values() for _, value in series) == kept["bytes"] > 0


@pytest.mark.slow
def test_gcs_to_s3(project, gcs_server, s3_server):
    logs, lake = name_of("logs"), name_of("lake")
    bucket = gcs_server.client().create_bucket(logs)
    for name, data in files(project / "examples/cloud-logs/gcp"):
        bucket.blob(f"compute.googleapis.com/vpc_flows/2026/05/04/{name}").upload_from_string(data)
    s3_server.client("s3").create_bucket(Bucket=lake)
    environ = {
        **s3_server.environ,
        "LOGS_BUCKET": logs,
        "LAKE_BUCKET": lake,
        "GCS_ENDPOINT": gcs_server.url,
        "GCS_ANONYMOUS": "true",
        "S3_ENDPOINT_URL": s3_server.url,
    }
    receipt = run(project, "gcs-to-s3", **environ)
    store = fs.S3FileSystem(
        access_key="test",
        secret_key="test",
        scheme="http",
        endpoint_override=s3_server.url.removeprefix("http://").rstrip("/"),
    )
    table = ds.dataset(f"{lake}/flows", filesystem=store, partitioning="hive").to_table()
    assert table.num_rows == receipt["sinks"][0]["rows"] > 0
    assert set(table["provider"].to_pylist()) == {"gcp"}
    assert run(project, "gcs-to-s3", **environ)["outcome"] == "nothing_to_do"


@pytest.mark.slow
def test_cloudwatch_to_kinesis(project, s3_server):
    group, stream = f"/vpc/{name_of('logs')}", name_of("flows")
    logs, kinesis = s3_server.client("logs"), s3_server.client("kinesis")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="eni-1")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    environ = {
        **s3_server.environ,
        "LOG_GROUP": group,
        "STREAM": stream,
        "AWS_REGION": s3_server.region,
    }
    run(project, "cloudwatch-to-kinesis", **environ)  # it begins with what comes from now on
    now = int(time.time())
    line = f"2 123456789012 eni-1 10.0.0.1 10.0.0.2 443 49152 6 10 840 {now - 60} {now} ACCEPT OK"
    logs.put_log_events(
        logGroupName=group,
        logStreamName="eni-1",
        logEvents=[{"timestamp": now * 1000 + 999, "message": line}] * 3,
    )
    time.sleep(1)  # the events are not of the future any more
    assert run(project, "cloudwatch-to-kinesis", **environ)["sinks"][0]["rows"] == 3
    begin = kinesis.get_shard_iterator(
        StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )
    records = kinesis.get_records(ShardIterator=begin["ShardIterator"])["Records"]
    rows = [json.loads(record["Data"]) for record in records]
    assert [row["bytes"] for row in rows] == [840] * 3
    assert {record["PartitionKey"] for record in records} == {rows[0]["community_id"]}
    assert run(project, "cloudwatch-to-kinesis", **environ)["outcome"] == "nothing_to_do"


@pytest.mark.slow
def test_azure_to_kafka(project, azurite, kafka_broker):
    from azure.storage.blob import BlobServiceClient
    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = name_of("flows")
    admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(60)
    client = BlobServiceClient.from_connection_string(azurite.connection_string)
    container = client.create_container("insights-logs-flowlogflowevent")
    for name, data in files(project / "examples/cloud-logs/azure"):
        if name.startswith("insights-logs-flowlogflowevent"):
            blob = container.get_blob_client(name.split("/", 1)[1])
            blob.stage_block("MQ==", data)
            blob.commit_block_list(["MQ=="])
    environ = {
        "AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string,
        "KAFKA_BOOTSTRAP": kafka_broker.bootstrap,
        "KAFKA_TOPIC": topic,
    }
    receipt = run(project, "azure-to-kafka", **environ)
    expected = receipt["sinks"][0]["rows"]
    assert expected > 0
    consumer = Consumer(
        {
            "bootstrap.servers": kafka_broker.bootstrap,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    rows = [json.loads(consumer.poll(60).value()) for _ in range(expected)]
    consumer.close()
    assert {row["provider"] for row in rows} == {"azure"}
    assert len({row.get("community_id") for row in rows}) > 2
    assert run(project, "azure-to-kafka", **environ)["outcome"] == "nothing_to_do"


@pytest.mark.slow
def test_receiver(project):
    """What a client of each protocol sends is in the lake, and what is under way at the end, too."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "ktrans", "run", "--follow", "configs/receiver.yaml"]
    environ = {**os.environ, "RECEIVER_ADDRESS": f":{port}"}
    process = subprocess.Popen(command, cwd=project, env=environ)
    record = "2 1 eni-1 10.0.0.1 10.0.0.2 44 443 6 1 7 1777882300 1777882360 ACCEPT OK"
    packed = base64.b64encode(record.encode()).decode()
    flow = {"eventType": "KFlow", "src_addr": "10.0.0.1", "dst_addr": "10.0.0.2"}
    flow |= {"in_bytes": 7, "l4_dst_port": 443, "start_time": 1777882300}
    secret = {"Authorization": "Bearer change-me"}
    requests = [
        (
            "/firehose",
            {**secret, "X-Amz-Firehose-Request-Id": "1"},
            {"records": [{"data": packed}]},
        ),
        ("/push?token=change-me", {}, {"message": {"data": packed, "messageId": "1"}}),
        ("/events?token=change-me", {}, [{"id": "1", "topic": "t", **flow}]),
        ("/flows", secret, record),
        ("/ktranslate", secret, [flow]),
    ]
    try:
        until = time.monotonic() + 60
        for path, headers, body in requests:
            text = body if isinstance(body, str) else json.dumps(body)
            while not posted(port, path, headers, text):
                assert time.monotonic() < until
                time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode == 0
    config = project / "configs/receiver.yaml"
    config.write_text(config.read_text().replace("spool_dir", "idle_timeout: 0.1\n  spool_dir"))
    subprocess.run(
        [word for word in command if word != "--follow"], cwd=project, env=environ, check=True
    )
    table = ds.dataset(project / "out/receiver/lake", format="parquet").to_table()
    assert table.column("bytes").to_pylist() == [7] * 5
    assert not (project / "out/receiver/rejects").exists()


def posted(port, path, headers, text):
    """Send a request; return whether it was answered with 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, text, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
    except ConnectionError:
        return False
    finally:
        connection.close()
    return True


@pytest.mark.slow
def test_to_nats(project, nats_server):
    nats = pytest.importorskip("nats")

    async def work():
        client = await nats.connect(nats_server.url)
        config = {"name": "FLOWS", "subjects": ["flows.>", "ktrans.marks.>"], "allow_atomic": True}
        await client.request("$JS.API.STREAM.CREATE.FLOWS", json.dumps(config).encode())
        info = await client.jetstream().stream_info("FLOWS", subjects_filter=">")
        await client.close()
        return info.state.subjects or {}

    assert asyncio.run(work()) == {}
    receipt = run(project, "to-nats", NATS_URL=nats_server.url)
    found = asyncio.run(work())
    flows = {name: count for name, count in found.items() if name.startswith("flows.")}
    assert sum(flows.values()) == receipt["ledger"]["stages"][0]["out"]["rows"] > 1000
    assert {"flows.aws.accept", "flows.aws.reject"} <= set(flows)
    assert run(project, "to-nats", NATS_URL=nats_server.url)["outcome"] == "nothing_to_do"


@pytest.mark.slow
def test_to_rabbitmq(project, rabbitmq_server):
    pika = pytest.importorskip("pika")
    environ = {
        "RABBITMQ_URL": rabbitmq_server.url,
        "RABBITMQ_USER": rabbitmq_server.user,
        "RABBITMQ_PASSWORD": rabbitmq_server.password,
    }
    receipt = run(project, "to-rabbitmq", **environ)
    login = pika.PlainCredentials(rabbitmq_server.user, rabbitmq_server.password)
    place = pika.ConnectionParameters("127.0.0.1", rabbitmq_server.port, "flows", login)
    with pika.BlockingConnection(place) as connection:
        queue = connection.channel().queue_declare("flows", passive=True)
    rows = receipt["ledger"]["stages"][0]["out"]["rows"]
    assert queue.method.message_count == rows > 1000
