"""A client of the HTTP API of Confluent Schema Registry, as far as a producer needs it.

Source: Confluent documentation, "Schema Registry API Reference": subjects, compatibility, errors.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ktrans.api import AccessError, ConfigError, Context, RetryableError
from ktrans.kit.errors import ErrorTable, retry_after, row
from ktrans_kafka.sink_config import KafkaSinkConfig

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


class SchemaRegistry:
    """Looks up and registers schemas. Thread-safe."""

    def __init__(self, config: KafkaSinkConfig, context: Context) -> None:
        assert config.registry_url is not None
        self._url = config.registry_url.rstrip("/")
        self._register = config.register_schemas
        self._authorization = _authorization(config)
        self._ca_file = (
            None if config.registry_ca_file is None else context.path(config.registry_ca_file)
        )

    def schema_id(self, subject: str, schema: str, kind: str) -> int:
        """Return the id of a schema; register a new one if the options allow it.

        Args:
            subject: the subject of the schema.
            schema: its text.
            kind: "AVRO" or "PROTOBUF".

        Raises:
            ConfigError: it is missing and may not be registered, or is not compatible.
            AccessError: the registry denies access.
            RetryableError: the registry cannot be reached, or is busy.
        """
        body = {"schema": schema, "schemaType": kind}
        path = f"/subjects/{_quoted(subject)}"
        if self._register:
            status, answer = self._post(f"{path}/versions", body)
        else:
            status, answer = self._post(path, body)
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

    def check(self, subject: str, schema: str, kind: str) -> None:
        """Check that `schema_id` would succeed, without registering anything."""
        if not schema:  # not bound yet: only check that the registry answers
            self._request("GET", "/subjects", None)
            return
        body = {"schema": schema, "schemaType": kind}
        status, _ = self._post(f"/subjects/{_quoted(subject)}", body)
        if status < 400:  # noqa: PLR2004  it is there
            return
        if not self._register:
            self.schema_id(subject, schema, kind)
        path = f"/compatibility/subjects/{_quoted(subject)}/versions/latest?verbose=true"
        status, answer = self._post(path, body)
        if answer.get("is_compatible") is False or status == _INVALID:
            reasons = "; ".join(str(text) for text in answer.get("messages", []))
            raise ConfigError(
                f"kafka: the schema is not compatible with the latest one of subject {subject}"
                + (f": {reasons[:500]}" if reasons else ""),
                code="schema_incompatible",
                hint="select the columns as they were, or use another topic or schema_name",
            )

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self._request("POST", path, json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, dict[str, Any]]:
        headers = {"Accept": _MEDIA, "Content-Type": _MEDIA}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        request = urllib.request.Request(  # noqa: S310  the config admits http and https alone
            self._url + path, body, headers, method=method
        )
        context = None
        if self._url.startswith("https"):
            context = ssl.create_default_context(cafile=self._ca_file)
        try:
            with urllib.request.urlopen(  # noqa: S310  as above
                request, timeout=_TIMEOUT_SECS, context=context
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
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
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


def _authorization(config: KafkaSinkConfig) -> str | None:
    if config.registry_token is not None:
        return f"Bearer {config.registry_token.get_secret_value()}"
    if config.registry_username is None or config.registry_password is None:
        return None
    pair = f"{config.registry_username}:{config.registry_password.get_secret_value()}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _quoted(subject: str) -> str:
    return urllib.parse.quote(subject, safe="")
