"""The kinesis, firehose and sqs sinks against a server: every row at least once, repeats recognisable."""

import json
import shutil
import uuid
from collections import Counter

import pyarrow as pa
import pytest
from ktrans_aws.sqs_sink import SqsSinkConfig

from ktrans.api import AccessError, ConfigError, Context, RetryableError, RunError
from ktrans.kit.rows.refuse import encode_rows
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, numbers, run

pytestmark = pytest.mark.service("s3")


class Target(SinkCase):
    """A stream or a queue."""

    service = None

    def __init__(self, server, folder, **options):
        self.built, self.seen = [], []
        self.server = server
        self.client = server.client(self.service)
        self.name = f"t{uuid.uuid4().hex[:12]}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.catalogue = Catalogue()
        self.options = options
        self.create()

    def sink(self, name="sink", pipeline="flows", schema=SCHEMA, **options):
        access = {
            "endpoint_url": self.server.url,
            "region": self.server.region,
            "access_key_id": "testing",
            "secret_access_key": "testing",
        }
        raw = {"type": self.service, **self.place(), **access, **self.options, **options}
        config = self.catalogue.config("sink", raw)
        context = Context(pipeline, name, self.folder, registry=self.catalogue)
        made = self.catalogue.build("sink", config, context)
        made.bind(schema)
        self.built.append(made)
        return made

    def rows(self):
        return sorted(json.loads(each)["n"] for each in self.data())

    def leftovers(self):
        files = (self.folder / ".ktrans").rglob("*")
        return [p.name for p in files if p.suffix in (".arrow", ".sent")]

    def close(self):
        for sink in self.built:
            sink.close()
        self.client.close()


class Kinesis(Target):
    service = "kinesis"

    def create(self):
        self.client.create_stream(StreamName=self.name, ShardCount=2)

    def place(self):
        # The server numbers records without a lock.
        return {"stream": self.name, "requests_at_once": 1}

    def records(self):
        found = []
        for shard in self.client.list_shards(StreamName=self.name)["Shards"]:
            at = self.client.get_shard_iterator(
                StreamName=self.name,
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )["ShardIterator"]
            found += self.client.get_records(ShardIterator=at)["Records"]
        return found

    def data(self):
        return [line for record in self.records() for line in record["Data"].splitlines()]


class Firehose(Target):
    service = "firehose"

    def create(self):
        self.s3 = self.server.client("s3")
        self.s3.create_bucket(Bucket=self.name)
        self.client.create_delivery_stream(
            DeliveryStreamName=self.name,
            ExtendedS3DestinationConfiguration={
                "RoleARN": "arn:aws:iam::123456789012:role/f",
                "BucketARN": f"arn:aws:s3:::{self.name}",
            },
        )

    def place(self):
        return {"stream": self.name}

    def data(self):
        found = []
        for item in self.s3.list_objects_v2(Bucket=self.name).get("Contents", ()):
            body = self.s3.get_object(Bucket=self.name, Key=item["Key"])["Body"].read()
            found += body.splitlines()
        return found


class Sqs(Target):
    service = "sqs"
    suffix = ""

    def create(self):
        attributes = {"FifoQueue": "true"} if self.suffix else {}
        self.url = self.client.create_queue(
            QueueName=self.name + self.suffix, Attributes=attributes
        )["QueueUrl"]

    def place(self):
        return {"queue_url": self.url}

    def messages(self):
        while True:
            found = self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            ).get("Messages", ())
            if not found:
                return self.seen
            self.seen += found
            self.client.delete_message_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]}
                    for at, each in enumerate(found)
                ],
            )

    def data(self):
        return [line for one in self.messages() for line in one["Body"].strip("\n").split("\n")]


class Fifo(Sqs):
    suffix = ".fifo"


@pytest.fixture
def target(s3_server, tmp_path):
    made = []

    def make(kind, **options):
        made.append(kind(s3_server, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


class TestKinesisContract(SinkContract):
    covers = ("kinesis",)

    @pytest.fixture
    def case(self, target):
        return target(Kinesis)


class TestFirehoseContract(SinkContract):
    covers = ("firehose",)

    @pytest.fixture
    def case(self, target):
        return target(Firehose)


class TestSqsContract(SinkContract):
    covers = ("sqs",)

    @pytest.fixture
    def case(self, target):
        return target(Sqs, rows_per_message=10)  # the server is slow


def publish(sink, *tasks):
    sink.prepare(EPOCH)
    sink.commit(EPOCH, [run(sink, task) for task in tasks])


# -- what arrives -----------------------------------------------------------------------------


def test_a_record_of_kinesis_has_its_id_or_columns_as_key(target):
    case = target(Kinesis)
    publish(case.sink(), FIRST)
    records = case.records()
    assert sorted(r["PartitionKey"] for r in records) == sorted(
        f"flows.sink.00000001-0000-{n}" for n in range(120)
    )
    assert not any(r["Data"].endswith(b"\n") for r in records)
    keyed = target(Kinesis, partition_key=["account"], line_ends=True)
    publish(keyed.sink(), FIRST)
    records = keyed.records()
    assert {(r["PartitionKey"], json.loads(r["Data"])["account"]) for r in records} == {
        (f"a{i}", f"a{i}") for i in range(3)
    }
    assert all(r["Data"].endswith(b"}\n") for r in records)


def test_firehose_takes_several_rows_as_one_record(target):
    case = target(Firehose, rows_per_message=25)
    sink = case.sink()
    spy = Flaky(sink.client, "put_record_batch")
    sink.__dict__["client"] = spy
    publish(sink, FIRST)
    sizes = [len(r["Data"].splitlines()) for call in spy.calls for r in call["Records"]]
    assert sorted(sizes) == [15, 15, 15, 25, 25, 25]
    assert case.rows() == numbers(FIRST)


def test_a_message_of_sqs_has_attributes_and_an_id(target):
    case = target(Sqs, attributes={"who": "account"})
    publish(case.sink(), FIRST)
    found = {
        m["MessageAttributes"]["ktrans_id"]["StringValue"]: (
            m["MessageAttributes"]["who"]["StringValue"],
            json.loads(m["Body"])["account"],
        )
        for m in case.messages()
    }
    assert set(found) == {f"flows.sink.00000001-0000-{n}" for n in range(120)}
    assert all(who == account for who, account in found.values())


def test_a_fifo_queue_keeps_groups_in_order_and_drops_what_is_sent_again(target):
    case = target(Fifo, group="account")
    publish(case.sink(), FIRST)
    shutil.rmtree(case.folder / ".ktrans")  # the notes about the first time
    publish(case.sink(), FIRST)
    found = {}
    for message in case.messages():
        group = message["Attributes"]["MessageGroupId"]
        found.setdefault(group, []).append(json.loads(message["Body"])["n"])
    assert sorted(found) == ["a0", "a1", "a2"]
    assert all(each == sorted(each) for each in found.values())
    assert sorted(n for each in found.values() for n in each) == numbers(FIRST)


def test_ids_that_sqs_does_not_take_become_digests(target):
    case = target(Fifo, rows_per_message=10)
    publish(case.sink("sínk" * 40), FIRST)
    ids = {m["Attributes"]["MessageDeduplicationId"] for m in case.messages()}
    assert len(ids) == 12
    assert all(len(each) == 64 for each in ids)


def test_characters_that_sqs_does_not_take_are_refused(target):
    sink = target(Sqs, format={"type": "csv", "header": False}).sink()
    rows = pa.record_batch(
        {"account": pa.array(["a", "b\x1b", "c", "\ufffe"]).dictionary_encode(), "n": [1, 2, 3, 4]}
    )
    writer = sink.writer(FIRST)
    encoded, refused = encode_rows(writer.encode, rows)
    assert sum(each.rows for each in encoded) == 2
    assert [(each.reason, each.rows["n"].to_pylist()) for each in refused] == [
        ("characters_not_allowed", [2, 4])
    ]
    writer.abort()


def test_rows_are_not_refused_for_their_group(tmp_path):
    """Whatever the rows beside them have."""
    catalogue = Catalogue()
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/flows.fifo"
    options = {"queue_url": url, "group": "account", "attributes": {"name": "name"}}
    config = catalogue.config("sink", {"type": "sqs", **options})
    sink = catalogue.build("sink", config, Context("flows", "sink", tmp_path, registry=catalogue))
    rows = pa.record_batch({"account": ["a\x1b", "b", "c"], "name": ["a", "b\x1b", "c"]})
    sink.bind(rows.schema)
    encoded, refused = encode_rows(sink.encode, rows)
    assert sum(each.rows for each in encoded) == 2
    assert [each.rows["name"].to_pylist() for each in refused] == [["b\x1b"]]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Kinesis, {"max_record_size": 1500}),
        (Firehose, {"max_record_size": 1500}),
        (Sqs, {"max_message_size": 1500, "attributes": {"who": "account"}}),
    ],
)
def test_rows_that_are_too_large_are_refused_alone(target, kind, options):
    case = target(kind, **options)
    sink = case.sink()
    rows = pa.record_batch(
        {"account": pa.array(["a", "b" * 1600, "c"]).dictionary_encode(), "n": [1, 2, 3]}
    )
    writer = sink.writer(FIRST)
    writer.write(writer.encode(rows))
    receipt = writer.finish()
    (refused,) = writer.refused()
    assert (refused.reason, refused.rows["n"].to_pylist()) == ("message_too_large", [2])
    sink.commit(EPOCH, [receipt])
    assert case.rows() == [1, 3]


# -- faults -----------------------------------------------------------------------------------


class Flaky:
    """A client whose answers to one operation are changed by `faults`, in turn."""

    def __init__(self, client, operation, *faults):
        self._client, self._operation, self.faults, self.calls = (
            client,
            operation,
            list(faults),
            [],
        )

    def __getattr__(self, name):
        real = getattr(self._client, name)
        if name != self._operation:
            return real

        def call(**request):
            self.calls.append(request)
            fault = self.faults.pop(0) if self.faults else None
            return real(**request) if fault is None else fault(real, request)

        return call


def some_fail(code, records="Records", results="Records", count="FailedRecordCount"):
    """Let every third record of a stream fail."""

    def fault(real, request):
        all_of_it = request[records]
        left = [each for at, each in enumerate(all_of_it) if at % 3]
        if left:
            real(**{**request, records: left})
        answers = [{} if at % 3 else {"ErrorCode": code} for at in range(len(all_of_it))]
        return {count: len(all_of_it) - len(left), results: answers}

    return fault


def some_messages_fail(code, *, lasting=False):
    def fault(real, request):
        left = [each for at, each in enumerate(request["Entries"]) if at % 3]
        answer = real(**{**request, "Entries": left})
        failed = [
            {"Id": each["Id"], "Code": code, "SenderFault": lasting}
            for at, each in enumerate(request["Entries"])
            if at % 3 == 0
        ]
        return {**answer, "Failed": failed}

    return fault


FAULTS = {
    Kinesis: ("put_records", some_fail("ProvisionedThroughputExceededException")),
    Firehose: (
        "put_record_batch",
        some_fail(
            "ServiceUnavailableException", results="RequestResponses", count="FailedPutCount"
        ),
    ),
    Sqs: ("send_message_batch", some_messages_fail("InternalError")),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_only_what_failed_is_sent_again(target, kind):
    operation, fault = FAULTS[kind]
    case = target(kind, requests_at_once=1)
    sink = case.sink()
    sink.__dict__["client"] = spy = Flaky(sink.client, operation, fault, fault, None, fault)
    publish(sink, FIRST)
    assert spy.faults == []
    assert case.rows() == numbers(FIRST)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_commit_that_ended_half_way_goes_on_where_it_was(target, kind):
    operation, fault = FAULTS[kind]
    case = target(kind, requests_at_once=1)
    sink = case.sink()
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST)]

    def gone(real, request):
        raise AccessError("denied")

    sink.__dict__["client"] = Flaky(sink.client, operation, fault, gone)
    with pytest.raises(AccessError):
        sink.commit(EPOCH, receipts)
    case.sink().commit(EPOCH, receipts)
    assert case.rows() == numbers(FIRST)


@pytest.mark.parametrize("kind", FAULTS)
def test_what_an_answer_does_not_mention_is_sent_again(target, kind):
    def dumb(real, request):
        return {}

    def half(real, request):
        """Take one message of two, and say nothing of the others."""
        return real(**{**request, "Entries": request["Entries"][::2]})

    case = target(kind, requests_at_once=1)
    sink = case.sink()
    faults = [dumb, half] if kind is Sqs else [dumb]
    sink.__dict__["client"] = Flaky(sink.client, FAULTS[kind][0], *faults)
    publish(sink, FIRST)
    assert case.rows() == numbers(FIRST)


def test_what_lasts_ends_the_run_at_once(target):
    sink = target(Sqs).sink()
    fault = some_messages_fail("InvalidMessageContents", lasting=True)
    sink.__dict__["client"] = spy = Flaky(sink.client, "send_message_batch", fault)
    sink.prepare(EPOCH)
    with pytest.raises(RunError) as caught:
        sink.commit(EPOCH, [run(sink, FIRST)])
    assert not isinstance(caught.value, RetryableError)
    assert Counter(e["Id"] for call in spy.calls[:1] for e in call["Entries"])


def test_throttling_that_lasts_ends_the_run_for_now(target):
    sink = target(Kinesis, retry_time="0.5s").sink()
    fault = some_fail("ProvisionedThroughputExceededException")
    sink.__dict__["client"] = Flaky(sink.client, "put_records", *[fault] * 1000)
    sink.prepare(EPOCH)
    with pytest.raises(RetryableError):
        sink.commit(EPOCH, [run(sink, FIRST)])


# -- check and config -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kinesis, Firehose, Sqs])
def test_the_check_finds_what_is_missing(target, kind):
    case = target(kind)
    case.sink().check()
    place = {"queue_url": case.url + "x"} if kind is Sqs else {"stream": "not-there"}
    with pytest.raises(ConfigError) as caught:
        case.sink(**place).check()
    assert caught.value.code in ("not_found", "queue_missing")
    assert case.data() == []


@pytest.mark.parametrize(
    ("kind", "operation"),
    [(Kinesis, "describe_stream_summary"), (Firehose, "describe_delivery_stream")],
)
def test_the_check_finds_that_another_service_answers(target, kind, operation):
    sink = target(kind).sink()
    sink.__dict__["client"] = Flaky(sink.client, operation, lambda real, request: {})
    with pytest.raises(ConfigError, match="not that of AWS") as caught:
        sink.check()
    assert caught.value.field == "endpoint_url"


def test_the_check_compares_sizes(target):
    with pytest.raises(ConfigError) as caught:
        target(Kinesis, max_record_size="10 MiB").sink().check()
    assert (caught.value.code, caught.value.field) == ("over_limit", "max_record_size")
    case = target(Sqs, max_message_size="1 MiB")
    case.client.set_queue_attributes(
        QueueUrl=case.url, Attributes={"MaximumMessageSize": str(1 << 18)}
    )
    with pytest.raises(ConfigError) as caught:
        case.sink().check()
    assert (caught.value.code, caught.value.field) == ("over_limit", "max_message_size")


@pytest.mark.parametrize(
    ("kind", "options", "field"),
    [
        (Kinesis, {"partition_key": ["nope"]}, "partition_key"),
        (Sqs, {"attributes": {"a": "nope"}}, "attributes"),
        (Sqs, {"group": "nope"}, "group"),
        (Sqs, {"format": {"type": "arrow"}, "rows_per_message": 5}, "format"),
        (Firehose, {"format": {"type": "parquet"}}, "format"),
    ],
)
def test_options_that_do_not_fit_the_rows(target, kind, options, field):
    with pytest.raises(ConfigError) as caught:
        target(kind, **options).sink()
    assert caught.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {"attributes": {"aws.x": "account"}},
        {"attributes": {"a b": "account"}},
        {"attributes": {"ktrans_id": "account"}},
        {"attributes": {f"a{n}": "account" for n in range(10)}},
        {"rows_per_message": 2, "group": "account"},
    ],
)
def test_options_of_sqs_that_do_not_fit_together(options):
    with pytest.raises(ValueError, match="attribute"):
        SqsSinkConfig(type="sqs", queue_url="https://q", **options)
