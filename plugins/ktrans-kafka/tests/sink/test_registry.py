"""Schema registries: an HTTP server in the test speaks the documented API, as far as it is used."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fastavro
import pyarrow as pa
import pytest

from ktrans.api import AccessError, ConfigError, Context, RetryableError
from ktrans.registry.catalogue import Catalogue

SCHEMA = pa.schema([("provider", pa.dictionary(pa.int32(), pa.string())), ("n", pa.int64())])
ROWS = pa.record_batch(
    {"provider": pa.array(["aws", None, "gcp"]).dictionary_encode(), "n": pa.array([1, 2, 3])},
    schema=SCHEMA,
)
CATALOGUE = Catalogue()


class Registry:
    """Subjects with their schemas, in memory."""

    def __init__(self):
        self.ids = {}
        self.subjects = {}
        self.requests = []
        self.answers = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(*outer.post(self.path, body, self.headers))

            def do_GET(self):
                outer.requests.append((self.path, self.headers))
                self.answer(200, sorted(outer.subjects))

            def answer(self, status, body, headers=()):
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def post(self, path, body, headers):
        self.requests.append((path, headers))
        if self.answers:
            return self.answers.pop(0)
        parts = path.partition("?")[0].strip("/").split("/")
        if parts[0] == "compatibility":
            return 200, {"is_compatible": parts[2] != "strict-value", "messages": ["not so"]}
        text, subject = (body["schemaType"], body["schema"]), parts[1]
        if parts[2:] == ["versions"]:
            number = self.ids.setdefault(text, len(self.ids) + 100_000)
            self.subjects.setdefault(subject, []).append(text)
            return 200, {"id": number}
        if text not in self.subjects.get(subject, []):
            return 404, {"error_code": 40403, "message": "Schema not found"}
        return 200, {"id": self.ids[text], "subject": subject, "version": 1}

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def registry():
    made = Registry()
    yield made
    made.close()


def encoder(registry, **options):
    raw = {
        "type": "kafka",
        "bootstrap_servers": ["a:1"],
        "topic": "flows",
        "encoding": "avro",
        "registry_url": f"{registry.url}/",
        **options,
    }
    sink = CATALOGUE.build(
        "sink", CATALOGUE.config("sink", raw), Context("p", "s", registry=CATALOGUE)
    )
    sink.bind(SCHEMA)
    return sink


def values(sink):
    return {r.topic: r.values for r in sink.encoder.encode(ROWS).records}


def test_avro_values_carry_the_number_of_the_registered_schema(registry):
    (made,) = values(encoder(registry)).values()
    ((kind, text),) = registry.subjects["flows-value"]
    schema = fastavro.parse_schema(json.loads(text))
    assert kind == "AVRO"
    read = []
    for value in made:
        assert value[0] == 0
        assert int.from_bytes(value[1:5], "big") == registry.ids[kind, text]
        read.append(fastavro.schemaless_reader(io.BytesIO(value[5:]), schema))
    assert read == ROWS.to_pylist()


def test_protobuf_values_carry_the_place_of_the_message_as_well(registry):
    made = values(encoder(registry, encoding="protobuf"))["flows"]
    ((kind, text),) = registry.subjects["flows-value"]
    assert kind == "PROTOBUF"
    assert "message Flow {" in text
    head = b"\0" + registry.ids[kind, text].to_bytes(4, "big") + b"\0"
    assert [value[:6] for value in made] == [head] * 3
    assert made[0][6:9] == b"\x0a\x03a"


@pytest.mark.parametrize(
    ("strategy", "subjects"),
    [
        ("topic_name", {"f-aws-value", "f-gcp-value", "f-unknown-value"}),
        ("record_name", {"net.Flow"}),
        ("topic_record_name", {"f-aws-net.Flow", "f-gcp-net.Flow", "f-unknown-net.Flow"}),
    ],
)
def test_subjects_follow_the_strategy(registry, strategy, subjects):
    sink = encoder(
        registry, topic="f-{provider}", subject_strategy=strategy, schema_name="net.Flow"
    )
    assert sorted(values(sink)) == ["f-aws", "f-gcp", "f-unknown"]
    assert set(registry.subjects) == subjects


def test_the_registry_is_asked_once(registry):
    sink = encoder(registry)
    values(sink)
    values(sink)
    assert len(registry.requests) == 1


def test_a_schema_that_must_not_be_registered_has_to_be_there(registry):
    with pytest.raises(ConfigError, match="flows-value") as caught:
        values(encoder(registry, register_schemas=False))
    assert caught.value.field == "register_schemas"
    values(encoder(registry))
    assert values(encoder(registry, register_schemas=False))
    encoder(registry, register_schemas=False).encoder.check(["flows"])
    assert len(registry.subjects["flows-value"]) == 1


def test_logins_go_in_the_header_they_belong_to(registry):
    values(encoder(registry, registry_username="u", registry_password="w"))
    values(encoder(registry, registry_token="t"))
    found = [headers["Authorization"] for _, headers in registry.requests]
    assert found == ["Basic " + base64.b64encode(b"u:w").decode(), "Bearer t"]


def test_refusals_are_told_apart(registry):
    registry.answers = [(401, {}), (409, {"message": "field gone"}), (422, {"message": "bad"})]
    with pytest.raises(AccessError, match="401"):
        values(encoder(registry))
    with pytest.raises(ConfigError, match="field gone") as caught:
        values(encoder(registry))
    assert "compatibility" in caught.value.hint
    with pytest.raises(ConfigError, match="bad"):
        values(encoder(registry))


def test_a_busy_registry_is_asked_again_later(registry):
    registry.answers = [(429, {}, [("Retry-After", "7")]), (500, {}), (200, {"strange": 1})]
    sink = encoder(registry)
    with pytest.raises(RetryableError) as caught:
        values(sink)
    assert caught.value.retry_after_secs == 7
    for _ in range(2):
        with pytest.raises(RetryableError):
            values(sink)
    assert values(sink)


def test_check_registers_nothing_and_finds_what_does_not_fit(registry):
    encoder(registry).encoder.check(["flows"])
    assert registry.subjects == {}
    with pytest.raises(ConfigError, match="not so"):
        encoder(registry, topic="strict").encoder.check(["strict"])


def test_check_of_topics_that_the_rows_will_tell_only_asks_whether_there_is_a_registry(registry):
    encoder(registry, topic="f-{provider}").encoder.check([])
    assert [path for path, _ in registry.requests] == ["/subjects"]


def test_a_registry_that_is_not_there_is_named():
    class Nobody:
        url = "http://127.0.0.1:1"

    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:1") as caught:
        values(encoder(Nobody))
    assert "registry_url" in caught.value.hint
