"""The AWS policies of docs/permissions.md suffice, and take no more than is needed: moto enforces them."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.services.moto import REGION, S3Server

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "examples/aws-logs/AWSLogs/111122223333/vpcflowlogs/eu-central-1/2026/05/04"
QUEUE = "flow-logs"
FORMAT = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end"
    " action log-status"
)

pytestmark = [pytest.mark.service("s3"), pytest.mark.xdist_group("permissions")]


BATCHES = {"sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:SendMessage"}
"""Moto asks for `sqs:DeleteMessageBatch` and so on, which are no actions of AWS: there the action of the
single call covers the batch (Amazon SQS Developer Guide, "Amazon SQS API permissions")."""

ANY_RESOURCE = ("kinesis:", "firehose:", "logs:")
"""Moto does not look at which stream or log group a request is about."""


def policies(without=""):
    """Those of the page, for the account and region of the stand-in; one action may be left out."""
    text = (ROOT / "docs/permissions.md").read_text()
    text = text.replace("111122223333", "123456789012").replace("eu-central-1", REGION)
    found = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    given = [one for one in found if "Statement" in one and "Resource" in str(one)]
    for policy in given:
        for statement in policy["Statement"]:
            named = statement["Action"]
            kept = {named} if isinstance(named, str) else set(named)
            kept -= {without}
            statement["Action"] = sorted(kept | {f"{one}Batch" for one in kept & BATCHES})
            if any(one.startswith(ANY_RESOURCE) for one in kept):
                statement["Resource"] = "*"
        policy["Statement"] = [one for one in policy["Statement"] if one["Action"]]
    return given


class Account:
    """An AWS of its own that checks rights, with buckets, a queue, and a user who is given policies."""

    def __init__(self):
        self.server = S3Server()
        self.key = {}

    def fill(self):
        s3, sqs, iam = map(self.server.client, ("s3", "sqs", "iam"))
        for bucket in ("my-flow-logs", "my-lake", "my-state"):
            s3.create_bucket(Bucket=bucket)
        url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        for log in sorted(LOGS.glob("*.log.gz"))[:2]:
            key = f"AWSLogs/{log.name}"
            s3.put_object(Bucket="my-flow-logs", Key=key, Body=log.read_bytes())
        self.make_streams()
        iam.create_user(UserName="ktrans")
        made = iam.create_access_key(UserName="ktrans")["AccessKey"]
        self.key = {
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        }
        self.iam, self.sqs, self.queue_url = iam, sqs, url

    def make_streams(self):
        """Make a stream and a log group to read, and what the sinks of streams and queues write to."""
        kinesis, firehose, logs = map(self.server.client, ("kinesis", "firehose", "logs"))
        for name in ("flow-logs", "flows"):
            kinesis.create_stream(StreamName=name, ShardCount=1)
        firehose.create_delivery_stream(
            DeliveryStreamName="flows",
            ExtendedS3DestinationConfiguration={
                "RoleARN": "arn:aws:iam::123456789012:role/f",
                "BucketARN": "arn:aws:s3:::my-lake",
            },
        )
        self.flows_url = self.server.client("sqs").create_queue(QueueName="flows")["QueueUrl"]
        logs.create_log_group(logGroupName="/vpc/flow-logs")
        logs.create_log_stream(logGroupName="/vpc/flow-logs", logStreamName="eni-1")
        self.kinesis, self.logs = kinesis, logs

    def put(self, kind):
        """Put a line into the stream or the log group."""
        now = int(time.time())
        line = (
            f"2 123456789012 eni-1 10.0.0.1 10.0.0.2 443 49152 6 10 840 {now - 60} {now} ACCEPT OK"
        )
        if kind == "kinesis":
            self.kinesis.put_record(StreamName="flow-logs", Data=line.encode(), PartitionKey="k")
        else:
            events = [{"timestamp": now * 1000, "message": line}]
            self.logs.put_log_events(
                logGroupName="/vpc/flow-logs", logStreamName="eni-1", logEvents=events
            )

    def notify(self):
        """Tell of a log by the queue."""
        log = min(LOGS.glob("*.log.gz"))
        told = {"key": f"AWSLogs/{log.name}", "size": log.stat().st_size}
        told = {"bucket": {"name": "my-flow-logs"}, "object": told}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": told}
        body = json.dumps({"Records": [record]})
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def allow(self, *given):
        for number, policy in enumerate(given):
            self.iam.put_user_policy(
                UserName="ktrans", PolicyName=f"p{number}", PolicyDocument=json.dumps(policy)
            )

    def enforce(self, *, on):
        request = urllib.request.Request(
            f"{self.server.url}/moto-api/reset-auth",
            data=b"0" if on else b"inf",
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        urllib.request.urlopen(request, timeout=60).read()

    def ktrans(self, *args):
        """Run ktrans as the user, while rights are enforced."""
        self.enforce(on=True)
        try:
            return self._run(*args)
        finally:
            self.enforce(on=False)

    def _run(self, *args):
        return subprocess.run(
            [sys.executable, "-m", "ktrans", *args],
            env={**os.environ, **self.server.environ, **self.key, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def account():
    account = Account()
    account.fill()
    yield account
    account.server.close()


def pipeline(account, folder, name, kind):
    """From a bucket, or a queue, to a lake, with rejects and state in buckets as well."""
    source = {
        "s3": {"type": "s3", "bucket": "my-flow-logs", "prefix": "AWSLogs/", "path_style": True},
        "sqs": {"type": "sqs", "queue_url": account.queue_url, "path_style": True},
        "kinesis": {"type": "kinesis", "stream": "flow-logs"},
        "cloudwatch_logs": {"type": "cloudwatch_logs", "groups": ["/vpc/flow-logs"]},
    }[kind]
    path = folder / "pipeline.yaml"
    if kind in ("kinesis", "cloudwatch_logs"):
        account.put(kind)
        path.write_text(
            f"""
name: {name}
source: {json.dumps(source)}
decoder: {{type: aws_vpc, format: "{FORMAT}"}}
sinks:
  - {{id: stream, type: kinesis, stream: flows}}
  - {{id: firehose, type: firehose, stream: flows}}
  - {{id: queue, type: sqs, queue_url: "{account.flows_url}"}}
rejects: {{type: file, path: rejects/}}
"""
        )
        return str(path)
    if kind == "sqs":
        source |= {"wait": 1, "gather_time": 1}
        account.notify()
    path.write_text(
        f"""
name: {name}
source: {json.dumps(source)}
sinks:
  - {{type: s3, bucket: my-lake, path: "flows/date={{start_time:%Y-%m-%d}}/", path_style: true}}
rejects: {{type: s3, bucket: my-lake, path: rejects/, path_style: true}}
state: {{type: s3, bucket: my-state, path_style: true}}
"""
    )
    return str(path)


@pytest.mark.parametrize("kind", ["s3", "sqs", "kinesis", "cloudwatch_logs"])
def test_the_policies_suffice(account, tmp_path, kind):
    path = pipeline(account, tmp_path, f"rights-{kind}", kind)
    account.allow(*policies())
    checked = account.ktrans("validate", "--connect", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = account.ktrans("run", "--once", "--json", path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["outcome"] == "done"


RUN, CONNECT = ("run", "--once"), ("validate", "--connect")


@pytest.mark.parametrize(
    ("kind", "action", "verb"),
    [
        ("s3", "s3:ListBucket", RUN),
        ("s3", "s3:GetObject", RUN),
        ("s3", "s3:PutObject", RUN),
        ("s3", "s3:DeleteObject", CONNECT),
        ("s3", "s3:AbortMultipartUpload", CONNECT),
        ("s3", "s3:ListBucketMultipartUploads", RUN),
        ("sqs", "sqs:ReceiveMessage", RUN),
        ("sqs", "sqs:DeleteMessage", RUN),
        ("sqs", "sqs:GetQueueAttributes", CONNECT),
        ("kinesis", "kinesis:GetRecords", RUN),
        ("kinesis", "kinesis:PutRecords", RUN),
        ("kinesis", "firehose:PutRecordBatch", RUN),
        ("kinesis", "sqs:SendMessage", RUN),
        ("cloudwatch_logs", "logs:FilterLogEvents", RUN),
    ],
)
def test_without_one_of_their_actions_it_ends_with_77(account, tmp_path, kind, action, verb):
    name = f"without-{action.replace(':', '-').lower()}"
    path = pipeline(account, tmp_path, name, kind)
    account.allow(*policies(without=action))
    ran = account.ktrans(*verb, path)
    assert ran.returncode == 77, ran.stdout + ran.stderr
    assert "AccessDenied" in ran.stdout + ran.stderr
