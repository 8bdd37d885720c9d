"""Whole runs: what the README shows, messages through a real process, logs from CloudWatch."""

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest
from ktrans_generate.objects import pieces
from ktrans_generate.source import GenerateSourceConfig

from ktrans.api import ConfigError
from ktrans.config.load import load_pipeline
from ktrans.registry.catalogue import Catalogue

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
FRAME = {
    "source": "source: {type: s3, bucket: b}\n",
    "decoder": "decoder: {type: auto}\n",
    "sinks": "sinks: [{type: blackhole}]\n",
}


def start(config, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "ktrans", *args, str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )


def run(config, *args):
    process = start(config, *args)
    out, err = process.communicate(timeout=300)
    return process.returncode, (out + err).decode()


@pytest.mark.parametrize("block", BLOCKS)
def test_what_the_readme_shows_is_valid(block, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIO_USER", "u")
    monkeypatch.setenv("MINIO_PASSWORD", "p")
    missing = [
        text for name, text in FRAME.items() if not re.search(rf"^{name}:", block, re.MULTILINE)
    ]
    config = tmp_path / "pipeline.yaml"
    config.write_text(("" if "name:" in block.split("\n")[0] else "name: p\n") + block)
    with config.open("a") as file:
        file.writelines(missing)
    assert load_pipeline(config, Catalogue()).name


def yaml_of(options):
    return json.dumps(options)


@pytest.mark.service("s3")
def test_connecting_is_tried_and_what_is_wrong_is_said(cloud, tmp_path):
    config = tmp_path / "pipeline.yaml"
    source = {"type": "s3", "bucket": cloud.bucket, **cloud.access}
    sink = {"type": "s3", "bucket": cloud.bucket, "path": "out/", **cloud.access}
    text = "name: p\nsource: {}\ndecoder: {{type: auto}}\nsinks: [{}]\n"
    config.write_text(text.format(yaml_of(source), yaml_of(sink)))
    code, said = run(config, "validate", "--connect")
    assert code == 0, said
    config.write_text(text.format(yaml_of({**source, "bucket": "not-there"}), yaml_of(sink)))
    code, said = run(config, "validate", "--connect")
    assert code == 78, said
    assert "NoSuchBucket" in said
    assert "testing" not in said.replace("not-there", "")


@pytest.mark.service("s3")
@pytest.mark.parametrize("log", ["aws_cloudwatch_envelope", "aws_cloudwatch_export"])
def test_logs_that_cloudwatch_brought_to_s3_are_read(cloud, tmp_path, log):
    made = GenerateSourceConfig(log=log, rows=300, rows_per_object=300, seed=1, hosts=20)
    cloud.put("cwl/2026/11/05/one", gzip.compress(b"".join(pieces(made.recipe(), 0))))
    config = tmp_path / "pipeline.yaml"
    source = {"type": "s3", "bucket": cloud.bucket, "prefix": "cwl/", **cloud.access}
    config.write_text(
        f"name: p\nsource: {yaml_of(source)}\ndecoder: {{type: auto}}\n"
        "sinks: [{type: file, path: out/, format: {type: jsonl}}]\n"
    )
    code, said = run(config, "run")
    assert code == 0, said
    rows = [
        json.loads(line)
        for path in (tmp_path / "out").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert len(rows) >= 290
    assert {row["source_uri"] for row in rows} == {f"s3://{cloud.bucket}/cwl/2026/11/05/one"}


@pytest.mark.slow
@pytest.mark.service("s3")
def test_runs_over_a_queue_that_are_killed_lose_nothing_and_publish_nothing_twice(cloud, tmp_path):
    sqs = cloud.server.client("sqs")
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    entry = {"QueueArn": arn["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
    cloud.s3.put_bucket_notification_configuration(
        Bucket=cloud.bucket,
        NotificationConfiguration={"QueueConfigurations": [entry]},
    )
    source = {
        "type": "sqs",
        "queue_url": url,
        "wait": 2,
        "gather_time": 0.2,
        "visibility_timeout": 5,
        "include": ["*.log"],
        **cloud.access,
    }
    config = tmp_path / "pipeline.yaml"
    config.write_text(
        f"name: p\nsource: {yaml_of(source)}\ndecoder: {{type: aws_vpc}}\n"
        "sinks: [{type: file, path: out/, format: {type: jsonl}}]\n"
        "rejects: {type: file, path: rejects/}\n"
        "engine: {workers: 2, epoch_splits: 5, retry_wait: 0.01}\n"
    )

    def put(first, count):
        for number in range(first, first + count):
            made = GenerateSourceConfig(
                log="aws_vpc_v2", rows=100, rows_per_object=100, seed=number, hosts=20
            )
            cloud.put(f"in/{number:03}.log", b"".join(pieces(made.recipe(), 0)))

    put(0, 30)
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    rng = random.Random(5)
    for _ in range(6):
        process = start(config, "run", "--once")
        try:
            process.communicate(timeout=rng.uniform(1.2, 3.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    put(30, 5)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    for _ in range(30):  # messages that a killed run had received come again in their time
        code, said = run(config, "run", "--once")
        assert code in (0, 65), said
        left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        if not any(int(left[name]) for name in names):
            break
    sqs.close()
    rows = Counter(
        (row["source_uri"], row["source_pos"])
        for path in (tmp_path / "out").rglob("*.jsonl")
        for row in map(json.loads, path.read_text().splitlines())
    )
    assert max(rows.values()) == 1
    assert len({uri for uri, _ in rows}) == 35
    rejected = [
        json.loads(line)
        for path in (tmp_path / "rejects").rglob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert [one["reason"] for one in rejected] == ["not_a_notification"]
    assert (rejected[0]["raw"], rejected[0]["raw_complete"]) == ("poison", True)


def test_secrets_are_not_shown():
    catalogue = Catalogue()
    raw = {"type": "s3", "bucket": "b", "secret_access_key": "hush", "session_token": "hush"}
    assert "hush" not in repr(catalogue.config("source", raw))
    with pytest.raises((ConfigError, ValueError)) as error:
        catalogue.config("source", {**raw, "secret_access_key": ["hush"]})
    assert "hush" not in str(error.value)
