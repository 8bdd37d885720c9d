"""The s3 source and sink over a real server: contracts, options, and what goes wrong."""

import io
import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from ktrans_aws.errors import aws_errors
from pydantic import ValidationError

from ktrans.api import (
    AccessError,
    Budget,
    ConfigError,
    RejectError,
    RetryableError,
    RunError,
    SplitChangedError,
    StageLostError,
    UnavailableError,
)
from ktrans.testing.contracts import SinkCase, SinkContract, SourceCase, SourceContract
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, batches, numbers, run
from ktrans.testing.contracts.sources import PlainMemory

pytestmark = pytest.mark.service("s3")

LINES = [f"line {i} of the object\n".encode() for i in range(500)]


class S3SourceCase(SourceCase):
    def __init__(self, cloud, options):
        self.cloud, self.options = cloud, options
        for i in range(6):
            data = b"".join(LINES[i * 80 : (i + 1) * 80])
            cloud.put(f"AWSLogs/{i % 2}/vpcflowlogs/r/2026/11/0{i % 3 + 1}/{i}+ä =.log", data)

    def build(self):
        return self.cloud.source(**self.options)


class TestS3Source(SourceContract):
    covers = ("s3",)

    @pytest.fixture(params=[{}, {"layout": "plain", "part_size": 1 << 16}], ids=["days", "plain"])
    def case(self, request, cloud):
        return S3SourceCase(cloud, request.param)


class S3SinkCase(SinkCase):
    def __init__(self, cloud, options):
        self.cloud, self.options = cloud, options

    def sink(self, name="sink", pipeline="flows"):
        made = self.cloud.sink(name, pipeline, **self.options)
        made.bind(SCHEMA)
        return made

    def rows(self):
        found = []
        for key, data in self.cloud.data().items():
            if key.endswith(".parquet"):
                found += pq.ParquetFile(io.BytesIO(data)).read()["n"].to_pylist()
            else:
                found += [json.loads(line)["n"] for line in data.splitlines()]
        return sorted(found)

    def leftovers(self):
        return self.cloud.uploads()


SINKS = [
    {"format": {"type": "parquet"}},
    {"format": {"type": "jsonl"}, "target_file_size": 1500, "if_absent": True},
]


class TestS3Sink(SinkContract):
    covers = ("s3",)

    @pytest.fixture(params=SINKS, ids=["parquet", "jsonl"])
    def case(self, request, cloud):
        return S3SinkCase(cloud, request.param)


# -- the source -------------------------------------------------------------------------------


def first(source):
    plan = source.plan(None, PlainMemory(), Budget())
    return plan.splits[0]


def read(source, split):
    with source.open(split) as payload, payload.open() as stream:
        return stream.read()


def test_listing_goes_through_pages(cloud):
    for i in range(1005):
        cloud.put(f"d/{i:05}", b"x")
    with cloud.source(layout="plain") as source:
        plan = source.plan(None, PlainMemory(), Budget())
    assert [split.data["key"] for split in plan.splits] == [f"d/{i:05}" for i in range(1005)]


def test_a_large_object_is_read_in_parts(cloud):
    data = bytes(range(256)) * 10_000
    cloud.put("big", data)
    with cloud.source(part_size=1 << 18) as source:
        split = first(source)
        assert read(source, split) == data
        with source.open(split) as payload, payload.random_access() as stream:
            stream.seek(-10, 2)
            assert stream.read() == data[-10:]


def test_an_object_that_was_replaced_or_removed_is_not_read(cloud):
    cloud.put("a", b"1")
    with cloud.source() as source:
        split = first(source)
        cloud.put("a", b"22")
        with pytest.raises(SplitChangedError):
            read(source, split)
        cloud.s3.delete_object(Bucket=cloud.bucket, Key="a")
        with pytest.raises(SplitChangedError) as gone:
            read(source, split)
    assert gone.value.code == "split_vanished"


def test_check_says_what_is_wrong(cloud):
    with cloud.source() as source:
        source.check()
    with (
        cloud.source(bucket="no-such-bucket-at-all") as source,
        pytest.raises(ConfigError) as missing,
    ):
        source.check()
    assert missing.value.code == "bucket_missing"
    with (
        cloud.source(endpoint_url="http://127.0.0.1:1", max_attempts=1) as source,
        pytest.raises(UnavailableError, match="list s3://"),
    ):
        source.check()
    with pytest.raises(ConfigError), cloud.source(endpoint_url="no-url") as source:
        source.check()
    with cloud.source(profile="no-such-profile") as source, pytest.raises(ConfigError):
        source.check()


def test_a_role_is_assumed(cloud):
    cloud.put("a", b"1")
    role = "arn:aws:iam::123456789012:role/reader"
    with cloud.source(
        role_arn=role, role_external_id="ext-1", sts_endpoint_url=cloud.server.url
    ) as source:
        assert read(source, first(source)) == b"1"


def test_no_credentials_is_an_access_error(cloud, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    options = {"access_key_id": None, "secret_access_key": None}
    with cloud.source(**options) as source, pytest.raises(AccessError, match="credentials"):
        source.check()
    cloud.put("a", b"1")
    with cloud.source(**options, anonymous=True) as source:
        source.check()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, AccessError),
        ("ExpiredToken", 400, AccessError),
        ("InvalidAccessKeyId", 403, AccessError),
        ("SignatureDoesNotMatch", 403, AccessError),
        ("RequestTimeTooSkewed", 403, AccessError),
        ("403", 403, AccessError),
        ("NoSuchBucket", 404, ConfigError),
        ("PermanentRedirect", 301, ConfigError),
        ("NoSuchKey", 404, SplitChangedError),
        ("404", 404, SplitChangedError),
        ("PreconditionFailed", 412, SplitChangedError),
        ("SlowDown", 503, RetryableError),
        ("Throttling", 400, RetryableError),
        ("TooManyRequests", 429, RetryableError),
        ("InternalError", 500, RetryableError),
        ("InvalidObjectState", 403, RejectError),
        ("MalformedXML", 400, ConfigError),
    ],
)
def test_answers_become_errors_that_the_engine_understands(code, status, kind):
    answer = {
        "Error": {"Code": code, "Message": "as told"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"retry-after": "7"}},
    }
    with pytest.raises(kind, match=r"cannot do it: .*as told") as caught, aws_errors("do it"):
        raise ClientError(answer, "GetObject")
    if kind is RetryableError:
        assert caught.value.retry_after_secs == 7


def test_validating_a_pipeline_imports_no_sdk():
    code = (
        "import sys; from ktrans.registry.catalogue import Catalogue; c = Catalogue()\n"
        "c.config('source', {'type': 's3', 'bucket': 'b', 'prefix': 'AWSLogs/'})\n"
        "c.config('sink', {'type': 's3', 'bucket': 'b', 'path': 'out/'})\n"
        "c.config('source', {'type': 'sqs', 'queue_url': 'https://x'})\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('boto3', 'botocore')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


# -- the sink ---------------------------------------------------------------------------------


def bound(sink):
    sink.bind(SCHEMA)
    sink.prepare(EPOCH)
    return sink


def test_objects_say_what_they_are_and_how_they_are_kept(cloud):
    with bound(
        cloud.sink(
            format={"type": "jsonl"},
            compression="gzip",
            sse="aws:kms",
            sse_kms_key_id="arn:aws:kms:us-east-1:123456789012:key/k",
            storage_class="STANDARD_IA",
        )
    ) as sink:
        sink.commit(EPOCH, [run(sink, FIRST)])
    head = cloud.s3.head_object(Bucket=cloud.bucket, Key=cloud.keys()[0])
    assert head["ContentType"] == "application/gzip"
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["StorageClass"] == "STANDARD_IA"
    assert head["Metadata"]["ktrans_mark"].startswith("flows.sink.00000001-0000 ")


def test_a_large_object_goes_in_parts(cloud):
    with bound(cloud.sink(path="out/", format={"type": "jsonl"}, part_size=5 << 20)) as sink:
        writer = sink.writer(FIRST)
        for _ in range(3000):
            for batch in batches(FIRST):
                writer.write(writer.encode(batch))
        receipt = writer.finish()
        sink.commit(EPOCH, [receipt])
        assert len(receipt.data["files"][0]["token"]["parts"]) == 2
    (data,) = cloud.data().values()
    assert len(data) == receipt.bytes
    assert data.count(b"\n") == receipt.rows == 360_000


def test_somebody_elses_object_is_left_alone_if_asked(cloud):
    with bound(cloud.sink(format={"type": "jsonl"}, if_absent=True)) as sink:
        receipt = run(sink, FIRST)
        cloud.put(receipt.data["files"][0]["key"], b"theirs")
        with pytest.raises(RunError) as refused:
            sink.commit(EPOCH, [receipt])
    assert refused.value.code == "object_exists"
    assert cloud.data()[receipt.data["files"][0]["key"]] == b"theirs"


@pytest.mark.parametrize("if_absent", [False, True])
def test_an_upload_that_somebody_aborted_is_lost_and_done_again(cloud, if_absent):
    """What was published of it before is ours, also if only absent objects are written."""
    with bound(cloud.sink(format={"type": "jsonl"}, if_absent=if_absent)) as sink:
        receipt = run(sink, FIRST)
        file = receipt.data["files"][1]
        cloud.s3.abort_multipart_upload(
            Bucket=cloud.bucket, Key=file["key"], UploadId=file["token"]["upload"]
        )
        with pytest.raises(StageLostError):
            sink.commit(EPOCH, [receipt])
        sink.prepare(EPOCH)
        sink.commit(EPOCH, [run(sink, FIRST)])
    rows = [json.loads(line)["n"] for data in cloud.data().values() for line in data.splitlines()]
    assert sorted(rows) == numbers(FIRST)


def test_check_of_the_sink_leaves_nothing(cloud):
    with cloud.sink() as sink:
        sink.check()
    assert cloud.uploads() == cloud.keys() == []
    with cloud.sink(bucket="no-such-bucket-at-all") as sink, pytest.raises(ConfigError):
        sink.check()


@pytest.mark.parametrize(
    "options",
    [
        {"path": "/abs/"},
        {"path": "a/../b/"},
        {"path": "a//b/"},
        {"path": "{account}/"},
        {"part_size": 1},
        {"sse_kms_key_id": "k"},
        {"anonymous": True},
    ],
)
def test_options_that_make_no_sense_are_refused(cloud, options):
    with pytest.raises((ValidationError, ConfigError)):
        cloud.sink(**options)
