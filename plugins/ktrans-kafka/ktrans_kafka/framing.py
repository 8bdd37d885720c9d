"""Frames rows of Avro and Protobuf as their consumers expect it, with the help of a schema registry.

Sources: Confluent documentation, "Schema Registry API Reference" (subjects, compatibility, errors)
and "Formats, Serializers, and Deserializers" (wire format); Avro specification, "Single object
encoding specification".
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from ktrans.api import AccessError, ConfigError, Context, RetryableError
from ktrans.kit.errors import ErrorTable, retry_after, row
from ktrans_kafka.encode_schema import AvroCodec, ProtobufCodec
from ktrans_kafka.sink_config import KafkaSinkConfig

_SINGLE_OBJECT = b"\xc3\x01"
"""Marker of an Avro datum; the fingerprint of its schema follows."""

_FIRST_MESSAGE = b"\x00"
"""The message index list [0] of Protobuf is one zero byte."""

_MEDIA = "application/vnd.schemaregistry.v1+json"
_TIMEOUT_SECS = 30
_MISSING, _INCOMPATIBLE, _INVALID = 404, 409, 422
_MAX_ANSWER_BYTES = 16 << 20
_ERRORS = ErrorTable(
    (
        row(
            AccessError,
            *(401, 403),
            hint="check registry_username and registry_password (or registry_token), and that it"
            " may read and write the subject",
        ),
        row(RetryableError, 429, *range(500, 600), code="schema_registry"),
    )
)
"""By HTTP status; other answers are results."""


class FramedRows:
    """Encodes each row as an Avro datum or a Protobuf message, after its frame. Thread-safe.

    With a registry the frame is a zero byte, the schema id (four bytes, big-endian), and for
    Protobuf the index of the message in its file.
    """

    def __init__(self, config: KafkaSinkConfig, context: Context) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._frames: dict[str, bytes] = {}
        self._frame = b""
        self._codec: AvroCodec | ProtobufCodec | None = None
        self._registry = SchemaRegistry(config, context) if config.registry_url else None

    def bind(self, schema: pa.Schema) -> None:
        """Create the schema of the values."""
        if self._config.encoding == "protobuf":
            self._codec = ProtobufCodec(schema, self._config.schema_name)
            return
        self._codec = avro = AvroCodec(schema, self._config.schema_name)
        if self._registry is None and self._config.framing != "raw":
            self._frame = _SINGLE_OBJECT + avro.fingerprint()

    def encode(self, batch: pa.RecordBatch, topic: str) -> pa.Array:
        """Encode the rows; ask the registry for the schema id once per subject."""
        assert self._codec is not None
        return self._codec.encode(batch, self._frame_of(topic, self._codec.text))

    def check(self, topics: Sequence[str]) -> None:
        """Check that the registry has the schema or would accept it; registers nothing."""
        if self._registry is None:
            return
        if self._codec is None or (not topics and "topic" in self._config.subject_strategy):
            self._registry.ping()  # without columns there is no schema, without topic no subject
            return
        for subject in {self._subject(topic) for topic in topics or [""]}:
            self._registry.check(subject, self._codec.text)

    def _frame_of(self, topic: str, text: str) -> bytes:
        if self._registry is None:
            return self._frame
        subject = self._subject(topic)
        with self._lock:
            if subject not in self._frames:
                frame = b"\x00" + self._registry.schema_id(subject, text).to_bytes(4, "big")
                last = _FIRST_MESSAGE if self._config.encoding == "protobuf" else b""
                self._frames[subject] = frame + last
            return self._frames[subject]

    def _subject(self, topic: str) -> str:
        name = self._config.schema_name
        return {
            "topic_name": f"{topic}-value",
            "record_name": name,
            "topic_record_name": f"{topic}-{name}",
        }[self._config.subject_strategy]


class SchemaRegistry:
    """Looks up and registers schemas. Thread-safe."""

    def __init__(self, config: KafkaSinkConfig, context: Context) -> None:
        self._url = str(config.registry_url).rstrip("/")
        self._kind = config.encoding.upper()
        self._register = config.register_schemas
        self._headers = {"Accept": _MEDIA, "Content-Type": _MEDIA, **_authorization(config)}
        ca_file = config.registry_ca_file
        self._ca_file = None if ca_file is None else context.path(ca_file)

    def schema_id(self, subject: str, schema: str) -> int:
        """Return the id of a schema; register a new one if the options allow it.

        Raises:
            ConfigError: it is missing and may not be registered, or is not compatible.
            AccessError: the registry denies access.
            RetryableError: the registry cannot be reached, or is busy.
        """
        path = f"/subjects/{_quoted(subject)}" + ("/versions" if self._register else "")
        status, answer = self._post(path, schema)
        if status == _MISSING:
            raise ConfigError(
                f"kafka: the schema registry does not have the schema under subject {subject}",
                field="register_schemas",
                code="schema_missing",
                hint="register it, or set register_schemas: true",
            )
        if status in (_INCOMPATIBLE, _INVALID):
            raise ConfigError(
                f"kafka: the schema registry rejects the schema for subject {subject}:"
                f" {answer.get('message', 'no reason given')}",
                code="schema_incompatible",
                hint="the columns changed in a way that the subject's compatibility level does not"
                " allow: select the columns as they were, or use another topic or schema_name",
            )
        schema_id = answer.get("id")
        if not isinstance(schema_id, int):
            raise RetryableError(
                f"kafka: the schema registry answered {status} without a schema id for {subject}",
                code="schema_registry",
            )
        return schema_id

    def check(self, subject: str, schema: str) -> None:
        """Check that `schema_id` would succeed, without registering anything."""
        status, _ = self._post(f"/subjects/{_quoted(subject)}", schema)
        if status < 400:  # noqa: PLR2004  it is there
            return
        if not self._register:
            self.schema_id(subject, schema)
        path = f"/compatibility/subjects/{_quoted(subject)}/versions/latest?verbose=true"
        status, answer = self._post(path, schema)
        if answer.get("is_compatible") is False or status == _INVALID:
            reasons = "; ".join(str(text) for text in answer.get("messages", []))
            raise ConfigError(
                f"kafka: the schema is not compatible with the latest one of subject {subject}"
                + (f": {reasons[:500]}" if reasons else ""),
                code="schema_incompatible",
                hint="select the columns as they were, or use another topic or schema_name",
            )

    def ping(self) -> None:
        """Check that the registry answers."""
        self._request("GET", "/subjects", None)

    @cached_property
    def _tls(self) -> ssl.SSLContext | None:
        if not self._url.startswith("https"):
            return None
        return ssl.create_default_context(cafile=self._ca_file)

    def _post(self, path: str, schema: str) -> tuple[int, dict[str, Any]]:
        body = {"schema": schema, "schemaType": self._kind}
        return self._request("POST", path, json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(  # noqa: S310  the config admits http and https alone
            self._url + path, body, self._headers, method=method
        )
        try:
            with urllib.request.urlopen(  # noqa: S310  as above
                request, timeout=_TIMEOUT_SECS, context=self._tls
            ) as answer:
                return answer.status, _parsed(answer.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                answer_body = _parsed(error.read(_MAX_ANSWER_BYTES))
            if _ERRORS.find(error.code) is None:
                return error.code, answer_body
            raise _ERRORS.error(
                f"kafka: the schema registry refuses the request ({error.code})",
                error.code,
                retry_after_secs=retry_after(dict(error.headers)),
            ) from error
        except (http.client.HTTPException, OSError) as error:  # URLError is an OSError
            reason = getattr(error, "reason", error)
            raise RetryableError(
                f"kafka: the schema registry {self._url} cannot be reached: {reason}",
                code="schema_registry",
                hint="check registry_url (and registry_ca_file)",
            ) from error


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _authorization(config: KafkaSinkConfig) -> dict[str, str]:
    if config.registry_token is not None:
        return {"Authorization": f"Bearer {config.registry_token.get_secret_value()}"}
    if config.registry_username is None or config.registry_password is None:
        return {}
    pair = f"{config.registry_username}:{config.registry_password.get_secret_value()}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _quoted(subject: str) -> str:
    return urllib.parse.quote(subject, safe="")
