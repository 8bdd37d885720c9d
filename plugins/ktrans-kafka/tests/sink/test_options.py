"""Options of the sink: what fits together, what does not, and what never shows."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from ktrans_kafka.client import connection
from ktrans_kafka.encode import Encoder
from ktrans_kafka.encode_parts import parse_topic, topic_name
from ktrans_kafka.errors import translate
from ktrans_kafka.sink_config import KafkaSinkConfig
from pydantic import ValidationError

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    EpochId,
    RetryableError,
    RunError,
    UnavailableError,
)
from ktrans.kit.files.path_template import NULL_PARTITION
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sinks import FIRST, SCHEMA, batches

BASE = {"type": "kafka", "bootstrap_servers": ["a:1, b:2", "c:3"], "topic": "flows"}
CATALOGUE = Catalogue()


def config(**options):
    return KafkaSinkConfig(**{**BASE, **options})


def build(**options):
    return CATALOGUE.build("sink", config(**options), Context("p", "s", registry=CATALOGUE))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bootstrap_servers": [" , "]}, "at least one broker"),
        ({"sasl_mechanism": "PLAIN", "username": "u"}, "username and password"),
        ({"password": "hush-hush"}, "sasl_mechanism"),
        ({"sasl_mechanism": "OAUTHBEARER"}, "oauth_token_url"),
        ({"oauth_scope": "x"}, "OAUTHBEARER"),
        ({"tls": True, "tls_key_file": "k"}, "go together"),
        ({"tls_ca_file": "ca.pem"}, "tls: true"),
        ({"librdkafka": {"sasl.password": "hush-hush"}}, "secret"),
        ({"librdkafka": {"acks": "1"}}, "always all"),
        ({"librdkafka": {"bootstrap.servers": "x:1"}}, "bootstrap_servers"),
        ({"topic": "{provider}"}, "fixed text"),
        ({"topic": "flows {provider}"}, "letters, digits"),
        ({"topic": "flows-{time:%Y}"}, "slot"),
        ({"encoding": "arrow", "key": ["account"]}, "many rows"),
        ({"framing": "raw"}, "avro and protobuf"),
        ({"encoding": "avro", "framing": "registry"}, "registry_url"),
        ({"encoding": "protobuf", "framing": "single_object"}, "is for avro"),
        ({"encoding": "avro", "framing": "raw", "registry_url": "http://r"}, "does not use"),
        ({"delivery_timeout": 1000}, "transaction_timeout"),
        ({"idempotence": False}, "exactly_once"),
        (
            {"encoding": "avro", "registry_url": "http://r", "registry_username": "u"},
            "registry_password",
        ),
    ],
)
def test_options_that_do_not_fit_together(options, message):
    with pytest.raises(ValidationError, match=message) as caught:
        config(**options)
    assert "hush" not in str(caught.value)


def test_connection_settings():
    made = connection(
        config(
            tls=True,
            tls_ca_file="ca.pem",
            sasl_mechanism="SCRAM-SHA-512",
            username="u",
            password="w",
            librdkafka={"socket.timeout.ms": 5},
        ),
        Context("p", base_dir=Path("/etc/x")),
    )
    assert made["bootstrap.servers"] == "a:1,b:2,c:3"
    assert made["security.protocol"] == "SASL_SSL"
    assert made["ssl.ca.location"] == "/etc/x/ca.pem"
    assert (made["sasl.username"], made["sasl.password"]) == ("u", "w")
    assert made["client.id"] == "ktrans-p"
    assert made["socket.timeout.ms"] == 5


def test_oauth_settings():
    made = connection(
        config(
            sasl_mechanism="OAUTHBEARER",
            oauth_token_url="https://id/t",
            oauth_client_id="i",
            oauth_client_secret="s",
            librdkafka={"sasl.oauthbearer.extensions": "a=b,c=d"},
        ),
        Context("p"),
    )
    assert made["sasl.oauthbearer.method"] == "oidc"
    assert made["sasl.oauthbearer.client.secret"] == "s"
    assert made["sasl.oauthbearer.extensions"] == "a=b,c=d"


def test_secrets_are_not_printed():
    made = config(sasl_mechanism="PLAIN", username="u", password="hush-hush")
    assert "hush" not in repr(made)
    assert "hush" not in made.model_dump_json()


@pytest.mark.parametrize("option", ["key", "header_columns"])
def test_a_missing_column_is_found_before_any_row_comes(option):
    with pytest.raises(ConfigError, match="nowhere") as caught:
        build(**{option: ["nowhere"]}).bind(SCHEMA)
    assert caught.value.field == option
    assert "account" in caught.value.hint


def test_columns_of_other_types_are_found_before_any_row_comes():
    schema = SCHEMA.append(pa.field("map", pa.map_(pa.string(), pa.string())))
    with pytest.raises(ConfigError, match="map"):
        build(key=["map"]).bind(schema)
    with pytest.raises(ConfigError, match="'n' of type int64"):
        build(timestamp_column="n").bind(schema)
    with pytest.raises(ConfigError, match="u64"):
        build(encoding="avro").bind(pa.schema([("u64", pa.uint64())]))


def test_topics_of_rows_are_legal_names():
    template = parse_topic("flows-{provider}.v1")
    assert topic_name(template, ("a/b c",)) == "flows-a_b_c.v1"
    assert topic_name(template, (NULL_PARTITION,)) == "flows-unknown.v1"
    assert len(topic_name(template, ("x" * 500,))) == 249


@pytest.mark.parametrize("encoding", ["json", "avro", "protobuf"])
def test_every_row_is_a_record_or_refused(encoding):
    sink = build(encoding=encoding, max_record_size=1000, key=["account"], headers={"a": "b"})
    sink.bind(SCHEMA)
    words = ["a", None, "x" * 900, "y"]
    batch = pa.record_batch(
        {"account": pa.array(words).dictionary_encode(), "n": pa.array([1, 2, 3, None])},
        schema=SCHEMA,
    )
    made = sink.encoder.encode(batch)
    (records,) = made.records
    assert records.rows == len(records.values) == len(records.keys) == len(records.headers) == 3
    assert records.keys == [b"a", None, b"y"]
    assert made.refused[0].rows["account"].to_pylist() == ["x" * 900]
    assert records.nbytes == sum(map(len, records.values))


def test_json_nulls_are_left_out_or_written():
    batch = pa.record_batch({"account": pa.array([None, "a"]), "n": pa.array([1, None])})
    for option, expected in (("omit", {"n": 1}), ("write", {"account": None, "n": 1})):
        sink = build(json_nulls=option)
        sink.bind(batch.schema)
        value = sink.encoder.encode(batch).records[0].values[0]
        assert json.loads(value) == expected
        assert not value.endswith(b"\n")


def test_an_empty_batch_makes_nothing():
    for encoding in ("json", "avro", "protobuf", "arrow"):
        sink = build(encoding=encoding)
        sink.bind(SCHEMA)
        made = sink.encoder.encode(batches(FIRST)[0].slice(0, 0))
        assert (made.records, made.refused) == ([], [])
        assert isinstance(sink.encoder, Encoder)


class Said:
    """Looks like the client's error, for the names that no broker here gives."""

    def __init__(self, name, *, retriable=False):
        self._name, self._retriable = name, retriable

    def name(self):
        return self._name

    def str(self):
        return f"words of {self._name}"

    def retriable(self):
        return self._retriable

    def fatal(self):
        return False


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("TOPIC_AUTHORIZATION_FAILED", AccessError),
        ("SASL_AUTHENTICATION_FAILED", AccessError),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", AccessError),
        ("_SSL", AccessError),
        ("_FENCED", RunError),
        ("UNKNOWN_TOPIC_OR_PART", ConfigError),
        ("INVALID_TRANSACTION_TIMEOUT", ConfigError),
        ("NOT_ENOUGH_REPLICAS", RetryableError),
        ("_MSG_TIMED_OUT", RetryableError),
    ],
)
def test_errors_say_what_they_are_and_what_to_do(name, kind):
    told = translate(Said(name), "kafka: writing")
    assert type(told) is kind
    assert f"words of {name}" in told.message
    assert told.hint or kind is RetryableError


def test_what_cannot_be_reached_is_unavailable_at_first_contact():
    told = translate(Said("_TRANSPORT"), "kafka: reaching a:1", connecting=True)
    assert type(told) is UnavailableError


def test_other_errors_go_by_what_the_client_says_of_them():
    assert type(translate(Said("NEW", retriable=True), "x")) is RetryableError
    assert type(translate(Said("NEW"), "x")) is RunError


def test_the_client_is_not_imported_before_it_is_needed():
    code = (
        "import sys\n"
        "import ktrans_kafka\n"
        "ktrans_kafka.ktrans_components()\n"
        "from ktrans_kafka.sink_config import KafkaSinkConfig\n"
        "from ktrans_kafka.sink import KafkaSink\n"
        "KafkaSink(KafkaSinkConfig(bootstrap_servers=['a:1'], topic='t'))\n"
        "print('confluent_kafka' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_what_is_not_published_does_not_hold_readers_up():
    """As violations of a rule that keeps its limit: nothing is committed, so the transaction is aborted."""
    aborted = []

    class Sealed:
        state = "sealed"

        def abort(self):
            aborted.append(self)
            return True

    sink = build()
    sink.producers._producers[0] = sealed = Sealed()
    sink.commit(EpochId("p", 1), [])
    assert aborted == [sealed]
