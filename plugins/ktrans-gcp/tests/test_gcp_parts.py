"""What needs no server: the meaning of Google's errors, credentials, the memory of message ids."""

import json
from concurrent.futures import Future

import grpc
import pytest
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.pubsub_v1.types import PubsubMessage
from google.rpc.error_details_pb2 import RetryInfo
from ktrans_gcp.errors import google_errors
from ktrans_gcp.google_auth import GoogleConfig, credentials
from ktrans_gcp.pubsub_intake import Intake
from ktrans_gcp.pubsub_puller import Batch, Puller
from ktrans_gcp.pubsub_source_config import PubsubSourceConfig

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    RejectError,
    RetryableError,
    RunError,
    UnavailableError,
)
from ktrans.kit.spool.seen_messages import SeenMessages
from ktrans.kit.spool.segments import Spool


def told(error, **options):
    with (
        pytest.raises(RunError.__base__) as caught,
        google_errors("bucket b", missing="make it", access="grant it", **options),
    ):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (api.ServiceUnavailable("busy"), RetryableError),
        (api.TooManyRequests("slow down"), RetryableError),
        (api.InternalServerError("oops"), RetryableError),
        (api.GatewayTimeout("late"), RetryableError),
        (api.Aborted("again"), RetryableError),
        (api.RetryError("gave up", api.ServiceUnavailable("busy")), RetryableError),
        (api.Forbidden("no"), AccessError),
        (api.Unauthorized("who"), AccessError),
        (api.PermissionDenied("no"), AccessError),
        (api.Unauthenticated("who"), AccessError),
        (api.NotFound("what"), ConfigError),
        (api.InvalidArgument("no"), RunError),
        (api.PreconditionFailed("no"), RunError),
        (auth.DefaultCredentialsError("none found"), AccessError),
        (auth.RefreshError("expired"), AccessError),
        (auth.TransportError("metadata server"), RetryableError),
        (requests.exceptions.ConnectionError("Connection reset by peer"), RetryableError),
        (requests.exceptions.ReadTimeout("late"), RetryableError),
        (ConnectionResetError("reset"), RetryableError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_google_have_a_meaning_and_name_what_was_asked(error, meaning):
    made = told(error)
    assert isinstance(made, meaning)
    assert "bucket b" in made.message
    if meaning is AccessError:
        assert made.hint
    if meaning is ConfigError:
        assert made.hint == "make it"


@pytest.mark.parametrize("failing", ["grpc", "http"])
def test_a_service_that_does_not_answer_may_do_so_later_unless_it_is_checked(failing):
    def error():
        if failing == "grpc":
            return api.from_grpc_status(grpc.StatusCode.UNAVAILABLE, "failed to connect")
        with pytest.raises(requests.exceptions.ConnectionError) as refused:
            requests.get("http://127.0.0.1:1", timeout=5)
        return refused.value

    assert isinstance(told(error()), RetryableError)
    assert isinstance(told(error(), checking=True), UnavailableError)


def test_our_own_errors_and_those_of_others_pass():
    assert isinstance(told(RejectError("no")), RejectError)
    with pytest.raises(KeyError), google_errors("b", missing="", access=""):
        raise KeyError("a defect")


def test_the_wait_that_google_asks_for():
    response = requests.Response()
    response.headers["Retry-After"] = "12"
    assert told(api.TooManyRequests("slow", response=response)).retry_after_secs == 12
    info = RetryInfo()
    info.retry_delay.seconds, info.retry_delay.nanos = 3, 500_000_000
    assert told(api.ResourceExhausted("slow", details=[info])).retry_after_secs == 3.5
    assert told(api.ServiceUnavailable("busy")).retry_after_secs is None


class TestCredentials:
    def test_a_file_that_is_missing_or_none(self, tmp_path):
        for content in (None, "no json", "[]", "{}", '{"type": "service_account"}'):
            if content is not None:
                (tmp_path / "key.json").write_text(content)
            config = GoogleConfig(type="x", credentials_file="key.json")
            with pytest.raises(ConfigError, match=r"key\.json"):
                credentials(config, Context(base_dir=tmp_path))

    def test_a_users_file_is_read_and_may_act_as_a_service_account(self, tmp_path):
        info = {
            "type": "authorized_user",
            "client_id": "c",
            "client_secret": "s",
            "refresh_token": "r",
        }
        (tmp_path / "user.json").write_text(json.dumps(info))
        config = GoogleConfig(type="x", credentials_file="user.json")
        assert credentials(config, Context(base_dir=tmp_path)).refresh_token == "r"
        config = GoogleConfig(
            type="x", credentials_file="user.json", impersonate="k@p.iam.gserviceaccount.com"
        )
        made = credentials(config, Context(base_dir=tmp_path))
        assert made.service_account_email == "k@p.iam.gserviceaccount.com"

    def test_anonymous_excludes_the_others(self):
        with pytest.raises(ValueError, match="anonymous"):
            GoogleConfig(type="x", anonymous=True, impersonate="k@p")


class TestSeen:
    def test_ids_are_remembered_over_processes_up_to_the_limit(self, tmp_path):
        seen = SeenMessages(tmp_path, 20)
        seen.load(1, ())
        for number in range(1, 11):
            ids = [f"{number}{at}" for at in range(5)]
            assert seen.new(ids) == [True] * 5
            seen.write(number, ids)
            seen.trim(number + 1)
        assert len(list(tmp_path.glob("*.ids"))) == 4
        again = SeenMessages(tmp_path, 20)
        again.load(11, ())
        assert again.new(["100", "75", "70", "60"]) == [False, True, False, True]

    def test_the_same_id_twice_in_a_batch_is_new_once(self, tmp_path):
        seen = SeenMessages(tmp_path, 10)
        seen.load(1, ())
        assert seen.new(["a", "1", "a", "1"]) == [True, True, False, False]

    def test_ids_of_a_segment_that_was_never_completed_are_forgotten(self, tmp_path):
        seen = SeenMessages(tmp_path, 10)
        seen.load(1, ())
        for number in (1, 2, 3):
            seen.write(number, [str(number)])
        again = SeenMessages(tmp_path, 10)
        again.load(2, [2])  # 1 is recorded, 2 waits in the spool, 3 was being written
        assert again.new(["1", "2", "3"]) == [False, False, True]
        assert not (tmp_path / "00000003.ids").exists()

    def test_many_small_files_are_put_together(self, tmp_path):
        seen = SeenMessages(tmp_path, 100_000)
        seen.load(1, ())
        for number in range(1, 301):
            seen.write(number, [str(number)])
        seen.trim(301)
        assert len(list(tmp_path.glob("*.ids"))) < 10
        again = SeenMessages(tmp_path, 100_000)
        again.load(301, ())
        assert not any(again.new([str(number) for number in range(1, 301)]))


# -- receiving --------------------------------------------------------------------------------


def batch(*ids):
    messages = [PubsubMessage.pb(PubsubMessage(message_id=i, data=i.encode())) for i in ids]
    return Batch(messages, [f"ack-{i}" for i in ids], len(ids))


def source_config(**options):
    return PubsubSourceConfig(project="p", subscription="flows", **options)


def puller(*answers):
    """Return one whose requests have all come back, with these answers."""
    made = Puller(None, source_config(), Context())
    for answer in answers:
        future = Future()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        made._flying.add(future)
    return made


def test_a_request_that_fails_does_not_lose_what_another_brought():
    good = batch("1", "2")
    assert puller(good, RetryableError("busy"), Batch()).arrived() == [good]
    with pytest.raises(RetryableError):
        puller(RetryableError("busy"), Batch()).arrived()


class Deliveries:
    """What an intake asks of a puller; each look brings one of these batches."""

    flying = False

    def __init__(self, *batches):
        self.batches = list(batches)
        self.acknowledged = []

    def launch(self, secs):
        pass

    def arrived(self):
        return [self.batches.pop(0)] if self.batches else []

    def acknowledge(self, batches):
        self.acknowledged += [ack for one in batches for ack in one.ack_ids]

    def close(self):
        pass


@pytest.mark.parametrize("step", ["begin", "_finish"])
def test_messages_that_could_not_be_written_are_in_the_next_segment(tmp_path, monkeypatch, step):
    spool = Spool(tmp_path / "spool")
    spool.check()
    deliveries = Deliveries(batch("1", "2"), batch("1", "3"))
    config = source_config(
        segment_size=4, segment_age=0.01, idle_timeout=0.001, dedupe_messages=100
    )
    context = Context("site", "source", base_dir=tmp_path)
    intake = Intake(spool, tmp_path / "seen", deliveries, config, context)
    intake.seen.load(1, ())

    def full(*_):
        raise OSError(28, "No space left on device")

    intake._puller.flying = True
    with monkeypatch.context() as patch:
        patch.setattr(Spool, step, full)
        with pytest.raises(OSError, match="No space"):
            intake.fill(1)
    assert deliveries.acknowledged == []
    [segment] = intake.fill(1)
    assert spool.path(segment).read_text().split() == ["1", "2"]
    assert deliveries.acknowledged == ["ack-1", "ack-2"]
    [following] = intake.fill(2)
    assert spool.path(following).read_text().split() == ["3"]
    assert deliveries.acknowledged == ["ack-1", "ack-2", "ack-1", "ack-3"]
    fresh = SeenMessages(tmp_path / "seen", 100)
    fresh.load(1, [1, 2])
    assert fresh.new(["1", "2", "3", "4"]) == [False, False, False, True]
