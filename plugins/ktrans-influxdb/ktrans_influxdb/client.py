"""A client of the write API of InfluxDB."""

from __future__ import annotations

import base64
import threading
from typing import Any

from isal import igzip

from ktrans.api import Context, KtransError, RetryableError, RunError, UnavailableError
from ktrans.kit.errors import retry_after
from ktrans.kit.http.answers import Refusal, is_page, no_page
from ktrans_influxdb.config import InfluxdbSinkConfig
from ktrans_influxdb.errors import ERRORS, message_of, refusal_of

_GZIP_LEVEL = 1
_UNITS_V1 = {"ns": "n", "us": "u", "ms": "ms", "s": "s"}
_UNITS_V3 = {"ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second"}
_NO_LINES = ("requires points", "empty", "no lines", "no points", "no data")


class Client:
    """Sends lines. Thread-safe."""

    def __init__(self, config: InfluxdbSinkConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._lock = threading.Lock()
        self._sdk: Any = None
        self._path, self._query = _endpoint(config)
        secrets = (config.token, config.password)
        self._secrets = [one.get_secret_value() for one in secrets if one is not None]

    def write(self, lines: bytes) -> None:
        """Send lines.

        Raises:
            Refusal: the server refuses some of the points.
            RetryableError: a retry may succeed.
            AccessError: token or user have no write permission.
            ConfigError: there is no such bucket, or the address is another.
            RunError: anything else.
        """
        import urllib3.exceptions
        from influxdb_client.rest import ApiException

        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._config.gzip and lines:
            lines = igzip.compress(lines, compresslevel=_GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        try:
            _, _, told = self._open().api_client.call_api(
                self._path,
                "POST",
                query_params=self._query,
                header_params=headers,
                body=lines,
                _request_timeout=int(self._config.timeout * 1000),
            )
        except ApiException as error:
            raise self._converted(error) from None
        except UnicodeDecodeError:
            raise RunError(
                f"the answer of {self._config.url} is not text", code="write_refused"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RetryableError(
                f"{self._config.url} does not answer: {self._scrubbed(_cause(error))}",
                hint="check `url`, and that the server is up",
            ) from None
        if is_page({name.lower(): value for name, value in told.items()}):
            raise no_page(self._config.url)

    def check(self) -> None:
        """Check that the server answers and permits writing; no point is written."""
        try:
            self.write(b"")
        except Refusal:
            return
        except RetryableError as error:
            raise UnavailableError(
                error.message, hint="check `url`, and that the server is up"
            ) from error
        except RunError as error:
            # The only fault of the request is that it has no points.
            refused = error.code == "write_refused"
            if not refused or not any(text in error.message for text in _NO_LINES):
                raise

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._sdk is not None:
                self._sdk.close()
                self._sdk = None

    def _converted(self, error: Any) -> KtransError | Refusal:
        if not error.status:  # how the SDK reports a TLS error
            return UnavailableError(
                f"no secure connection to {self._config.url}: {self._scrubbed(error.reason or '')}",
                hint="set `ca_file` to the CA certificate of the server",
            )
        text = self._scrubbed(error.body if isinstance(error.body, str) else "")
        if (refusal := refusal_of(error.status, text)) is not None:
            return refusal
        message, where = message_of(text), self._config.url
        reason = f"{error.status}: {message}" if message else str(error.status)
        if ERRORS.find(error.status) is None:
            return ERRORS.error(f"{where} refuses the request ({reason})")
        return ERRORS.error(
            f"{where} does not accept points for {self._config.target} ({reason})",
            error.status,
            retry_after_secs=retry_after(error.headers or {}),
        )

    def _scrubbed(self, text: str) -> str:
        """Replace secrets in a message of a server or a library."""
        for secret in self._secrets:
            if secret:
                text = text.replace(secret, "***")
        return text

    def _open(self) -> Any:
        with self._lock:
            if self._sdk is None:
                self._sdk = self._connect()
            return self._sdk

    def _connect(self) -> Any:
        from influxdb_client import InfluxDBClient

        config = self._config
        token = config.token.get_secret_value() if config.token else None
        sdk = InfluxDBClient(
            config.url,
            token=token,
            org=config.org,
            timeout=int(config.timeout * 1000),
            verify_ssl=config.verify_tls,
            ssl_ca_cert=str(self._context.path(config.ca_file)) if config.ca_file else None,
            connection_pool_maxsize=config.connections,
            retries=False,
        )
        if config.user is not None and config.password is not None:
            login = f"{config.user}:{config.password.get_secret_value()}"
            self._secrets.append(encoded := base64.b64encode(login.encode()).decode())
            sdk.api_client.set_default_header("Authorization", f"Basic {encoded}")
        return sdk


def _endpoint(config: InfluxdbSinkConfig) -> tuple[str, list[tuple[str, str]]]:
    """Return the path and the parameters of the write API."""
    query: dict[str, str | None]
    if config.api == "v1":
        path, query = "/write", {"db": config.database, "precision": _UNITS_V1[config.precision]}
        query["rp"] = config.retention_policy
    elif config.api == "v2":
        path, query = "/api/v2/write", {"org": config.org, "bucket": config.bucket}
        query["precision"] = config.precision
    else:
        path, query = "/api/v3/write_lp", {"db": config.database}
        query |= {"precision": _UNITS_V3[config.precision], "accept_partial": "true"}
        query["no_sync"] = "false"  # answered once the rows are in the write-ahead log
    return path, [(name, value) for name, value in query.items() if value]


def _cause(error: BaseException) -> str:
    """Return the message of the innermost cause of a library's error."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    return f"{type(error).__name__}: {error}"
