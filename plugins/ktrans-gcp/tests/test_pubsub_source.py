"""The pubsub source against a real server: every message once, whatever dies or fails meanwhile."""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import grpc
import pytest
from google.pubsub_v1.types import AcknowledgeRequest, ModifyAckDeadlineRequest
from ktrans_gcp.pubsub_refused import check_logs
from ktrans_gcp.pubsub_source import PubsubSource
from ktrans_gcp.pubsub_source_config import PubsubSourceConfig

from ktrans.api import (
    AccessError,
    Budget,
    ConfigError,
    Context,
    Plan,
    RejectError,
    RetryableError,
    UnavailableError,
)
from ktrans.kit.notifications import UnknownMessageError, message_bytes
from ktrans.kit.spool.segments import Spool
from ktrans.testing.contracts import SourceCase, SourceContract
from ktrans.testing.contracts.sources import PlainMemory, read

pytestmark = pytest.mark.service("pubsub")


def build(topic, folder, *, ephemeral=False, stopping=lambda: False, **options):
    config = PubsubSourceConfig(**topic.options(**options))
    context = Context("site", "source", base_dir=folder, ephemeral=ephemeral, stopping=stopping)
    return PubsubSource(config, context)


def collect(source, count=0, position=None):
    """Run epochs until nothing more comes and there are so many lines; give the lines.

    What a request that was given up had leased comes again only after a while.
    """
    lines = []
    until = time.monotonic() + 120
    while True:
        plan = source.plan(position, PlainMemory(), Budget())
        if plan is None:
            if len(lines) >= count or time.monotonic() > until:
                return lines
            continue
        for split in plan.splits:
            lines += read(source, split).decode().splitlines()
        position = json.loads(json.dumps(plan.position))
        source.commit(plan)


def first_plan(source, memory=None, position=None, budget=None):
    """Plan until there is something."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        plan = source.plan(position, memory or PlainMemory(), budget or Budget())
        if plan is not None:
            return plan
    raise AssertionError("nothing came")


class PubsubCase(SourceCase):
    """Messages that wait in the spool of a run that was killed, so that nothing depends on time."""

    def __init__(self, topic, folder):
        self.topic, self.folder, self.world = topic, folder, 0
        self.built = []
        spool = Spool(self.place / ".ktrans/spool/site")
        spool.check()
        # Each segment is what one run left that was killed before it planned an epoch.
        for number in range(1, 4):
            topic.publish([f"{number} {n} {'x' * 400}" for n in range(4)])
            source = build(topic, self.place)
            while len(spool.segments()) < number:
                source._begin(1)
                source._intake.fill(number)
            source.close()
        self.fresh()

    def fresh(self):
        self.world += 1
        shutil.copytree(self.folder / "0", self.place)

    @property
    def place(self):
        return self.folder / str(self.world)

    def build(self):
        made = build(self.topic, self.place, idle_timeout=0.1)
        self.built.append(made)
        return made


class TestContract(SourceContract):
    covers = ("pubsub",)

    @pytest.fixture
    def case(self, topic, tmp_path):
        made = PubsubCase(topic, tmp_path)
        yield made
        for source in made.built:
            source.close()


def test_messages_arrive_once_and_their_segments_go_with_the_commit(topic, tmp_path):
    topic.publish([f"line {number}" for number in range(1200)])
    source = build(topic, tmp_path, segment_size=4000)
    lines = collect(source, 1200)
    assert sorted(lines) == sorted(f"line {number}" for number in range(1200))
    assert not list((tmp_path / ".ktrans").rglob("*.seg"))
    assert not list((tmp_path / ".ktrans").rglob("*.open"))
    source.close()


def test_a_message_keeps_its_own_line_ends(topic, tmp_path):
    topic.publish([b"one\n", b"two\nthree", b"\xff\x00 not text"])
    source = build(topic, tmp_path)
    plan = first_plan(source)
    data = b"".join(read(source, split) for split in plan.splits)
    assert sorted(data.splitlines()) == [b"one", b"three", b"two", b"\xff\x00 not text"]
    source.close()


def test_a_segment_that_was_rejected_whole_is_kept_until_it_is_forgotten(topic, tmp_path):
    """Its messages are acknowledged: the spool has the only copy."""
    topic.publish(["one"])
    source, memory = build(topic, tmp_path), PlainMemory()
    plan = first_plan(source)
    (split,) = plan.splits
    memory.record(plan)
    memory[split.key] = {**memory[split.key], "rejected": True}  # as the engine marks it
    source.commit(Plan((), plan.position, {}))  # which leaves it out of the plan
    topic.publish(["two"])
    after = first_plan(source, position=plan.position, memory=memory)
    assert split.key not in {one.key for one in after.splits}
    memory.record(after)
    source.commit(after)
    source.close()
    del memory[split.key]  # as `rejects replay` does
    source = build(topic, tmp_path)
    again = first_plan(source, position=after.position, memory=memory)
    assert [read(source, one) for one in again.splits] == [b"one\n"]
    source.close()


def test_a_killed_run_finds_its_segments_and_not_what_it_had_not_finished(topic, tmp_path):
    topic.publish(["kept"])
    source = build(topic, tmp_path)
    first = first_plan(source)
    source.close()
    (tmp_path / ".ktrans/spool/site/00000009-00000009-0-1.open").write_bytes(b"half")
    topic.publish(["more"])
    again = build(topic, tmp_path)
    lines = collect(again, 2)
    assert [read_line for read_line in lines if read_line == "kept"] == ["kept"]
    assert sorted(lines) == ["kept", "more"]
    assert first.splits[0].uri.startswith("pubsub://flows/")
    again.close()


def test_what_is_delivered_again_is_dropped_also_by_a_later_process(topic, proxy, tmp_path):
    """Acknowledgements are turned into their opposite: everything comes twice, at once."""

    def refuse(request, forward):
        ids = AcknowledgeRequest.deserialize(request)
        back = ModifyAckDeadlineRequest(
            subscription=ids.subscription, ack_ids=ids.ack_ids, ack_deadline_seconds=0
        )
        forward(
            ModifyAckDeadlineRequest.serialize(back),
            "/google.pubsub.v1.Subscriber/ModifyAckDeadline",
        )
        return b""

    topic.publish([f"line {number}" for number in range(50)])
    proxied = SimpleNamespace(
        options=lambda **o: topic.options(endpoint=f"http://{proxy.host}", **o)
    )
    proxy.faults["Acknowledge"] = [refuse] * 100
    source = build(proxied, tmp_path)
    plan = first_plan(source)
    assert read(source, plan.splits[0]).count(b"\n") == 50
    source.commit(plan)
    source.close()
    proxy.faults["Acknowledge"] = [refuse] * 3
    again = build(proxied, tmp_path)
    lines = collect(again, 0, plan.position)
    until = time.monotonic() + 120
    while proxy.faults["Acknowledge"] and time.monotonic() < until:
        lines += collect(again, 0, plan.position)
    assert proxy.faults["Acknowledge"] == []
    assert lines == []
    again.close()


def test_what_was_quarantined_is_planned_again_and_the_memory_stays_small(topic, tmp_path):
    """A segment that could not be read stays, since its messages exist nowhere else."""
    source = build(topic, tmp_path)
    memory, position, failed = PlainMemory(), None, None
    for number in range(3):
        topic.publish([f"{number}"])
        skip = frozenset(filter(None, [failed]))
        plan = first_plan(source, memory, position, Budget(skip=skip))
        remember = dict(plan.remember)
        splits = plan.splits
        if number == 0:
            (split,) = splits
            failed = split.key
            del remember[failed]
            splits = ()
        memory.record(Plan(splits, plan.position, remember))
        position = plan.position
        source.commit(Plan(splits, plan.position, remember))
    source.close()
    assert len(memory) == 1
    again = build(topic, tmp_path)
    plan = again.plan(position, memory, Budget())
    assert [read(again, split) for split in plan.splits] == [b"0\n"]
    assert plan.position["next"] == position["next"]
    again.close()


def test_a_segment_that_is_recorded_but_not_removed_is_not_read_again(topic, tmp_path):
    topic.publish(["a"])
    memory = PlainMemory()
    source = build(topic, tmp_path)
    plan = first_plan(source, memory)
    memory.record(plan)
    source.close()
    again = build(topic, tmp_path, idle_timeout=1)
    assert again.plan(plan.position, memory, Budget()) is None
    assert not list((tmp_path / ".ktrans").rglob("*.seg"))
    again.close()


def test_without_a_memory_every_delivery_counts(topic, tmp_path):
    topic.publish(["a", "b"])
    source = build(topic, tmp_path, dedupe_messages=0)
    assert sorted(collect(source, 2)) == ["a", "b"]
    assert not list((tmp_path / ".ktrans").rglob("*.ids"))
    source.close()


def test_ordered_messages_keep_their_order(ordered_topic, tmp_path):
    for number in range(60):
        ordered_topic.publish([f"{number}"], key=f"k{number % 3}")
    source = build(ordered_topic, tmp_path, idle_timeout=8)
    lines = collect(source, 60)
    for key in range(3):
        assert [int(x) for x in lines if int(x) % 3 == key] == list(range(key, 60, 3))
    source.close()


def test_a_look_gives_everything_back(topic, tmp_path):
    """Preview and dry run leave the messages to the real run, and no files."""
    topic.publish(["a", "b", "c"])
    look = build(topic, tmp_path, ephemeral=True, idle_timeout=2)
    plan = first_plan(look)
    assert sorted(b"".join(read(look, s) for s in plan.splits).split()) == [b"a", b"b", b"c"]
    look.close()
    assert not (tmp_path / ".ktrans").exists()
    real = build(topic, tmp_path)
    assert sorted(collect(real, 3)) == ["a", "b", "c"]
    real.close()


def test_reset_forgets_segments_and_ids(topic, tmp_path):
    topic.publish(["a"])
    source = build(topic, tmp_path)
    assert first_plan(source).splits
    source.close()
    build(topic, tmp_path).reset()
    left = [path for path in (tmp_path / ".ktrans").rglob("*") if path.is_file()]
    assert left == []


def test_a_call_to_stop_ends_the_wait(topic, tmp_path):
    stop = threading.Event()
    source = build(topic, tmp_path, idle_timeout=3600, stopping=stop.is_set)
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    assert source.plan(None, PlainMemory(), Budget()) is None
    assert time.monotonic() - began < 60
    source.close()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_passing_faults_are_waited_out(topic, proxy, tmp_path, code):
    topic.publish(["a", "b"])
    proxy.faults["Pull"] = [code] * 3
    proxy.faults["Acknowledge"] = [code]
    source = build(topic, tmp_path, endpoint=f"http://{proxy.host}")
    assert sorted(collect(source, 2)) == ["a", "b"]
    assert proxy.calls.count("Pull") >= 4
    source.close()


def test_faults_that_do_not_pass_are_told_with_their_fix(topic, proxy, tmp_path):
    proxy.faults["Pull"] = [grpc.StatusCode.PERMISSION_DENIED]
    source = build(topic, tmp_path, endpoint=f"http://{proxy.host}")
    with pytest.raises(AccessError) as caught:
        source.plan(None, PlainMemory(), Budget())
    assert "roles/pubsub.subscriber" in caught.value.hint
    source.close()
    gone = build(topic, tmp_path, subscription="no-such-thing")
    with pytest.raises(ConfigError, match="no-such-thing"):
        gone.plan(None, PlainMemory(), Budget())
    gone.close()


class TestCheck:
    def test_all_is_well(self, topic, tmp_path):
        with build(topic, tmp_path) as source:
            source.check()

    def test_there_is_no_subscription(self, topic, tmp_path):
        with (
            build(topic, tmp_path, subscription="no-such-thing") as source,
            pytest.raises(ConfigError) as caught,
        ):
            source.check()
        assert "create it" in caught.value.hint

    def test_there_is_no_permission(self, topic, proxy, tmp_path):
        denied = [grpc.StatusCode.PERMISSION_DENIED]
        proxy.faults.update(GetSubscription=denied[:], TestIamPermissions=denied[:])
        with (
            build(topic, tmp_path, endpoint=f"http://{proxy.host}") as source,
            pytest.raises(AccessError),
        ):
            source.check()

    def test_the_right_to_receive_is_enough(self, topic, proxy, tmp_path):
        """It does not include the right to look at the subscription."""
        granted = b"\x0a\x1cpubsub.subscriptions.consume"
        proxy.faults["GetSubscription"] = [grpc.StatusCode.PERMISSION_DENIED]
        proxy.faults["TestIamPermissions"] = [lambda request, forward: granted]
        with build(topic, tmp_path, endpoint=f"http://{proxy.host}") as source:
            source.check()

    def test_nobody_answers(self, topic, tmp_path):
        with (
            build(topic, tmp_path, endpoint="http://127.0.0.1:9") as source,
            pytest.raises((UnavailableError, RetryableError)),
        ):
            source.check()

    def test_the_spool_cannot_be_made(self, topic, tmp_path):
        (tmp_path / "file").touch()
        with (
            build(topic, tmp_path, spool_dir="file/spool") as source,
            pytest.raises(AccessError, match="spool"),
        ):
            source.check()


NEW_OBJECT = {
    "eventType": "OBJECT_FINALIZE",
    "bucketId": "logs",
    "objectId": "a/b.json",
    "objectGeneration": "7",
    "notificationConfig": "projects/_/buckets/logs/notificationConfigs/1",
}


def notification(event="OBJECT_FINALIZE", payload="NONE"):
    """Return the attributes and the data of a notification of Cloud Storage."""
    attributes = {**NEW_OBJECT, "eventType": event, "payloadFormat": payload}
    resource = {"kind": "storage#object", "bucket": "logs", "name": "a/b.json", "size": "3"}
    return attributes, b"" if payload == "NONE" else json.dumps(resource, indent=2).encode()


@pytest.mark.parametrize("payload", ["NONE", "JSON_API_V1"])
def test_notifications_of_cloud_storage_are_told_from_logs(payload):
    attributes, data = notification(payload=payload)
    with pytest.raises(UnknownMessageError, match=r"OBJECT_FINALIZE of gs://logs/a/b.json"):
        check_logs(data, attributes)
    for event in ("OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"):
        attributes, data = notification(event, payload)
        assert check_logs(data, attributes) == event
    with pytest.raises(UnknownMessageError, match="OBJECT_SUNG"):
        check_logs(*notification("OBJECT_SUNG", payload)[::-1])


def test_other_messages_without_logs_say_what_was_seen():
    assert check_logs(b"{}", {"logging.googleapis.com/timestamp": "2026"}) is None
    with pytest.raises(UnknownMessageError, match="no data; its attributes: `a`, `b`"):
        check_logs(b" ", {"b": "1", "a": "2"})
    with pytest.raises(UnknownMessageError, match=r"object.v1.finalized"):
        check_logs(b"{}", {"ce-type": "google.cloud.storage.object.v1.finalized"})


def test_a_message_without_logs_is_a_split_of_its_own(topic, tmp_path):
    attributes, data = notification()
    deleted, _ = notification("OBJECT_DELETE")
    topic.publish([data], **attributes)
    topic.publish([data], **deleted)
    topic.publish([b"\n"], other="1")
    topic.publish(["line"])
    source, memory = build(topic, tmp_path, segment_age=2), PlainMemory()
    position, bodies, lines, notes = None, [], b"", set()
    while len(bodies) < 2 or not lines:
        plan = first_plan(source, memory, position, Budget(splits=1))
        notes.update(plan.notes)
        if not plan.splits:
            continue
        (split,) = plan.splits
        body, complete = message_bytes(split)
        if body is None:
            lines += read(source, split)
        else:
            assert complete
            bodies.append(json.loads(body))
            with pytest.raises(RejectError, match="the message announces nothing") as refused:
                source.open(split)
            assert refused.value.code == "not_a_notification"
        memory.record(plan)
        position = json.loads(json.dumps(plan.position))
        if body is None:
            source.commit(plan)
        else:
            memory[split.key] = {"rejected": True}
            source.commit(Plan((), position, plan.remember))
    assert lines == b"line\n"
    bodies.sort(key=lambda body: len(body["attributes"]))
    assert bodies == [{"attributes": {"other": "1"}}, {"attributes": attributes}]
    assert any("OBJECT_DELETE" in note for note in notes)
    assert source.plan(position, memory, Budget()) is None
    assert not list((tmp_path / ".ktrans").rglob("*.seg"))
    source.close()


def test_a_run_stores_messages_without_logs_and_a_replay_keeps_them(topic, site, entry):
    site.write_config(topic.options(idle_timeout=1, segment_age=1), [site.LINES])
    attributes, data = notification(payload="JSON_API_V1")
    topic.publish([entry(1), entry(2)])
    topic.publish([data], **attributes)
    codes = set()
    while len(site.rejects()) < 1 or len(site.rows()) < 2:
        codes.add(site.run())
        assert codes <= {0, 65}, site.stderr
    assert 65 in codes
    assert site.rows() == {1: 1, 2: 1}
    (reject,) = site.rejects()
    assert (reject["reason"], reject["raw"]) == ("not_a_notification", data.decode())
    assert "OBJECT_FINALIZE of gs://logs/a/b.json" in reject["detail"]
    config = str(site.folder / "pipeline.yaml")
    replayed = subprocess.run(
        [sys.executable, "-m", "ktrans", "rejects", "replay", config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert replayed.returncode == 0, replayed.stderr
    assert "will be read by the next run" not in replayed.stderr
    assert site.run() == 0, site.stderr
    assert site.rejects() == [reject]


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_repeat_nothing(topic, site, entry):
    """SIGKILL at random moments of receiving, processing and publishing; messages keep coming."""
    site.write_config(
        topic.options(segment_size=20_000, segment_age=0.1, idle_timeout=1),
        [site.LINES],
        epoch_splits=3,
    )
    rng = random.Random(7)
    attributes, data = notification()
    topic.publish([data], **attributes)
    published = kills = 0
    while kills < 20:
        topic.publish([entry(number) for number in range(published, published + 300)])
        published += 300
        process = site.start()
        spool = site.folder / ".ktrans/spool/site"
        before = set(spool.glob("*.seg")) if spool.exists() else set()
        while process.poll() is None and not (set(spool.glob("*.seg")) - before):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.4))
        if process.poll() is None:
            kills += 1
        process.send_signal(signal.SIGKILL)
        process.communicate()
    until = time.monotonic() + 240
    while len(site.rows()) < published and time.monotonic() < until:
        assert site.run() in {0, 65}, site.stderr
    rows = site.rows()
    assert set(rows) == set(range(published))
    assert max(rows.values()) == 1
    assert [reject["reason"] for reject in site.rejects()] == ["not_a_notification"]
