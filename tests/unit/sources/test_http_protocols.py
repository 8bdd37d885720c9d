"""What each protocol of the `http` source takes, and how it answers."""

import base64
import gzip
import json
from contextlib import closing
from urllib.parse import quote

import pyarrow as pa
import pytest

from tests.unit.sources.receiving import BEARER, TOKEN, receiving

KEY = {"X-Amz-Firehose-Access-Key": TOKEN, "X-Amz-Firehose-Request-Id": "guid-1"}


@pytest.fixture
def receiver(tmp_path):
    with receiving(tmp_path) as one:
        yield one


def packed(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def firehose(*records):
    return {
        "requestId": "guid-1",
        "timestamp": 1578090901599,
        "records": [{"data": packed(record)} for record in records],
    }


class TestNdjson:
    def test_lines_arrive_in_all_encodings(self, receiver):
        zstd = pa.compress(b"d 4\n", "zstd", asbytes=True)
        bodies = [
            ({}, b"a 1\nb 2"),
            ({"Content-Encoding": "gzip"}, gzip.compress(b"c 3\n")),
            ({"Content-Encoding": "zstd"}, zstd),
            ({"Content-Encoding": "identity"}, gzip.compress(b"e 5")),
        ]
        for headers, body in bodies:
            status, _, text = receiver.post("/ndjson", body, {**BEARER, **headers})
            assert (status, json.loads(text)) == (200, {"status": "stored"})
        assert sorted(receiver.lines()) == ["a 1", "b 2", "c 3", "d 4", "e 5"]

    def test_chunked_bodies(self, receiver):
        with closing(receiver.connect()) as connection:
            chunks = iter([b"a", b" 1\nb", b" 2\n"])
            connection.request("POST", "/ndjson", chunks, BEARER, encode_chunked=True)
            assert connection.getresponse().status == 200
        assert receiver.lines() == ["a 1", "b 2"]

    def test_an_idempotency_key_makes_it_once_across_restarts(self, receiver):
        headers = {**BEARER, "Idempotency-Key": "k 1 é".encode().decode("latin-1")}
        for _ in range(2):
            assert receiver.post("/ndjson", b"once", headers)[0] == 200
        assert receiver.post("/ktranslate", b'{"other": "endpoint"}', headers)[0] == 200
        assert sorted(receiver.lines()) == ["once", '{"other": "endpoint"}']
        receiver.restart()
        assert receiver.post("/ndjson", b"once", headers)[0] == 200
        assert receiver.post("/ndjson", b"no key")[0] == 200
        assert receiver.lines() == ["no key"]

    @pytest.mark.parametrize("body", [b"", b"\n \n"])
    def test_nothing_is_nothing(self, receiver, body):
        assert receiver.post("/ndjson", body)[0] == 200
        assert receiver.lines() == []

    def test_an_unknown_encoding_is_refused(self, receiver):
        status, _, body = receiver.post("/ndjson", b"x", {**BEARER, "Content-Encoding": "br"})
        assert status == 415
        assert "gzip" in json.loads(body)["error"]

    def test_a_damaged_body_is_refused_whole(self, receiver):
        body = gzip.compress(b"a 1\n" * 100)[:-9]
        status, _, text = receiver.post("/ndjson", body, {**BEARER, "Content-Encoding": "gzip"})
        assert status == 400
        assert "ends in the middle" in json.loads(text)["error"]
        assert receiver.lines() == []


class TestAccess:
    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            ("/ndjson", {}),
            ("/ndjson", {"Authorization": "Bearer wrong"}),
            ("/ndjson", {"Authorization": f"Basic {TOKEN}"}),
            ("/ndjson?token=sesame", {}),
            ("/firehose", {"X-Amz-Firehose-Request-Id": "1"}),
            ("/pubsub_push?token=wrong", {}),
            ("/event_grid", {"Authorization": "Bearer é"}),
        ],
    )
    def test_a_missing_or_wrong_token_is_401(self, receiver, path, headers):
        status, answered, body = receiver.post(path, b"{}", headers)
        assert status == 401
        assert answered["WWW-Authenticate"] == "Bearer"
        assert TOKEN.encode() not in body
        assert receiver.lines() == []

    def test_each_of_several_tokens_is_taken(self, receiver):
        assert receiver.post("/ndjson", b"x", {"Authorization": "Bearer earlier"})[0] == 200

    @pytest.mark.parametrize(("token", "status"), [("tök", 200), ("tok", 401)])
    def test_a_token_may_have_any_letters(self, tmp_path, token, status):
        endpoints = [
            {"path": "/a", "protocol": "ndjson", "tokens": ["tök"]},
            {"path": "/b", "protocol": "pubsub_push", "tokens": ["tök"]},
        ]
        with receiving(tmp_path, endpoints=endpoints) as receiver:
            shown = {"Authorization": f"Bearer {token}".encode()}
            assert receiver.post("/a", b"x", shown)[0] == status
            message = {"message": {"data": "eA==", "messageId": "1"}}
            url = f"/b?token={quote(token)}"
            assert receiver.post(url, message, {})[0] == status

    def test_other_paths_and_methods(self, receiver):
        assert receiver.post("/", b"x")[0] == 404
        status, headers, _ = receiver.post("/ndjson", method="GET")
        assert (status, headers["Allow"]) == (405, "POST")
        assert receiver.post("/healthz", headers={}, method="GET")[0] == 200
        status, headers, body = receiver.post("/healthz", headers={}, method="HEAD")
        assert (status, body, headers["Content-Length"]) == (200, b"", "16")


class TestFirehose:
    def test_records_arrive_and_the_answer_is_the_one_that_is_specified(self, receiver):
        compressed = gzip.compress(json.dumps(firehose("a 1", "b 2\n", "c 3\nd 4")).encode())
        status, headers, body = receiver.post(
            "/firehose", compressed, {**KEY, "Content-Encoding": "gzip"}
        )
        answer = json.loads(body)
        assert status == 200
        assert headers["Content-Type"] == "application/json"
        assert answer["requestId"] == "guid-1"
        assert answer["timestamp"] > 1_700_000_000_000
        assert receiver.lines() == ["a 1", "b 2", "c 3", "d 4"]

    def test_a_request_that_is_sent_again_is_acknowledged_without_work(self, receiver):
        assert receiver.post("/firehose", firehose("a 1"), KEY)[0] == 200
        assert receiver.post("/firehose", firehose("a 1"), KEY)[0] == 200
        assert receiver.lines() == ["a 1"]
        receiver.restart()
        status, _, body = receiver.post("/firehose", firehose("a 1"), KEY)
        assert (status, json.loads(body)["requestId"]) == (200, "guid-1")
        assert receiver.lines() == []

    def test_records_of_cloudwatch_logs_are_inflated(self, receiver):
        envelope = '{"messageType": "DATA_MESSAGE", "logEvents": []}'
        body = firehose(gzip.compress(envelope.encode()), gzip.compress(b"x") + gzip.compress(b"y"))
        assert receiver.post("/firehose", body, KEY)[0] == 200
        assert receiver.lines() == [envelope, "xy"]

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'{"records": 1}', b'{"records": [{"data": "?"}]}', b"\xff{}"]
    )
    def test_what_is_not_its_protocol_is_400_with_the_id(self, receiver, body):
        status, _, text = receiver.post("/firehose", body, KEY)
        answer = json.loads(text)
        assert (status, answer["requestId"]) == (400, "guid-1")
        assert answer["errorMessage"]
        assert receiver.lines() == []

    def test_a_request_without_an_id_is_400(self, receiver):
        status, _, body = receiver.post(
            "/firehose", firehose("a"), {"X-Amz-Firehose-Access-Key": TOKEN}
        )
        assert status == 400
        assert "Request-Id" in json.loads(body)["errorMessage"]


class TestPubsubPush:
    URL = f"/pubsub_push?token={TOKEN}"

    def push(self, message):
        return {"message": message, "subscription": "projects/p/subscriptions/s"}

    def test_a_message_arrives_once(self, receiver):
        message = {"data": packed("a 1\nb 2"), "messageId": "7", "publishTime": "2026-01-01T00:00Z"}
        for _ in range(2):
            assert receiver.post(self.URL, self.push(message), {})[0] == 200
        assert receiver.post("/pubsub_push", self.push({**message, "messageId": "8"}))[0] == 200
        assert receiver.lines() == ["a 1", "b 2", "a 1", "b 2"]
        receiver.restart()
        assert receiver.post(self.URL, self.push(message), {})[0] == 200
        assert receiver.lines() == []

    def test_a_message_without_data_becomes_a_record_of_its_attributes(self, receiver):
        message = {"attributes": {"eventType": "OBJECT_FINALIZE"}, "messageId": "1"}
        assert receiver.post(self.URL, self.push(message), {})[0] == 200
        [line] = receiver.lines()
        assert json.loads(line) == {"attributes": {"eventType": "OBJECT_FINALIZE"}}

    @pytest.mark.parametrize("body", [b"{}", b'{"message": {"data": "%%%"}}', b"text"])
    def test_other_bodies_are_400(self, receiver, body):
        assert receiver.post(self.URL, body, {})[0] == 400


class TestEventGrid:
    URL = f"/event_grid?token={TOKEN}"

    def test_the_handshake_of_its_own_schema(self, receiver):
        event = {
            "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
            "topic": "/subscriptions/x",
            "data": {"validationCode": "512d38b6", "validationUrl": "https://example"},
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        }
        headers = {"aeg-event-type": "SubscriptionValidation"}
        status, _, body = receiver.post(self.URL, [event], headers)
        assert (status, json.loads(body)) == (200, {"validationResponse": "512d38b6"})
        assert receiver.post("/event_grid", [event], headers)[0] == 401
        assert receiver.lines() == []

    def test_the_handshake_of_cloudevents(self, receiver):
        asks = {"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"}
        status, headers, _ = receiver.post(self.URL, headers=asks, method="OPTIONS")
        assert status == 200
        assert headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
        assert headers["WebHook-Allowed-Rate"] == "*"
        assert "POST" in headers["Allow"]
        assert receiver.post(self.URL, headers={}, method="OPTIONS")[0] == 400
        assert receiver.post("/event_grid", headers=asks, method="OPTIONS")[0] == 401
        strange = {"WebHook-Request-Origin": "caf\u00e9.example"}
        assert receiver.post(self.URL, headers=strange, method="OPTIONS")[0] == 400

    def test_events_arrive_once_each_one_a_line(self, receiver):
        events = [{"id": str(i), "topic": "t", "data": {"n": i, "text": "a\nb"}} for i in range(3)]
        cloud = {"specversion": "1.0", "id": "0", "source": "/s", "type": "x", "data": [1.10, 2]}
        assert receiver.post(self.URL, events[:2], {})[0] == 200
        assert receiver.post(self.URL, events[1:], {})[0] == 200  # one of them once more
        pretty = json.dumps(cloud, indent=2).replace("1.1", "1.10").encode()
        kind = {"Content-Type": "application/cloudevents+json"}
        assert receiver.post(self.URL, pretty, kind)[0] == 200
        lines = receiver.lines()
        assert [json.loads(line) for line in lines] == [*events, cloud]
        assert "1.10" in lines[-1]

    def test_the_end_of_a_subscription_is_no_event(self, receiver):
        headers = {"aeg-event-type": "SubscriptionDeletion"}
        assert receiver.post(self.URL, [{"id": "1"}], headers)[0] == 200
        assert receiver.lines() == []


class TestKtranslate:
    def test_arrays_become_lines(self, receiver):
        records = [{"src_addr": "10.0.0.1", "in_bytes": 2**63 + 1}, {"custom_str": {"a": "b\n"}}]
        assert receiver.post("/ktranslate", records)[0] == 200
        compressed = gzip.compress(json.dumps(records[0], indent=1).encode())
        headers = {**BEARER, "Content-Encoding": "GZIP"}
        assert receiver.post("/ktranslate", compressed, headers)[0] == 200
        assert [json.loads(line) for line in receiver.lines()] == [*records, records[0]]

    @pytest.mark.parametrize("body", [b"[{}, ", b"text", b"[1]]"])
    def test_other_bodies_are_400(self, receiver, body):
        assert receiver.post("/ktranslate", body)[0] == 400
        assert receiver.lines() == []
