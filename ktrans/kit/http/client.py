"""Sends requests with authentication, TLS and gzip."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from isal import igzip
from pydantic import BaseModel, SecretStr

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    RetryableError,
    RunError,
    UnavailableError,
)
from ktrans.kit.http.answers import Answer, Refusal, error_of
from ktrans.kit.http.options import ConnectionConfig, HttpConfig, LoginConfig, OAuth2

if TYPE_CHECKING:
    import urllib3

_GZIP_LEVEL = 1
_MAX_ANSWER_BYTES = 64 << 20
_SHORTEST_HEADER = 8
"""Shorter values of headers are tenants, numbers and the like, which answers have by chance."""
_MOST_LEARNED = 4
_MARGIN_SECS = 30
"""A token that expires within this time is renewed."""

Authorize = Callable[[], Mapping[str, str]]
"""Returns the headers that authenticate a request; called for each one."""


class HttpClient:
    """Sends requests of one sink; connections are kept. Thread-safe.

    Args:
        config: of connection and authentication.
        context: the sink's.
        authorize: returns more headers that authenticate a request; called for each one.
    """

    def __init__(
        self, config: ConnectionConfig, context: Context, authorize: Authorize | None = None
    ) -> None:
        self._config = config
        self._context = context
        self._headers = {name: text.get_secret_value() for name, text in config.headers.items()}
        plain = {text for text in self._headers.values() if len(text) < _SHORTEST_HEADER}
        self._secrets = [text for text in _secrets(config) if text and text not in plain]
        self._learned: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._tokens: _Tokens | None = None
        self._by_options = self._login(config)
        self._authorize = authorize or dict

    def request(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and read the answer, whatever its status.

        Raises:
            RetryableError: no answer.
            UnavailableError: no secure connection.
            AccessError: no token.
        """
        answer = self._send(method, url, body, headers)
        if answer.status == 401 and self._tokens is not None:  # noqa: PLR2004  # HTTP
            self._tokens.forget()
            answer = self._send(method, url, body, headers)
        return answer

    def scrubbed(self, text: str) -> str:
        """Replace secrets in a message of a server or a library."""
        for secret in (*self._secrets, *self._learned):
            text = text.replace(secret, "***")
        return text

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.clear()

    def _send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> Answer:
        given = {**(headers or {}), **self._headers, **self._by_options(), **self._authorize()}
        if body and isinstance(self._config, HttpConfig) and self._config.gzip:
            body = igzip.compress(body, compresslevel=_GZIP_LEVEL)
            given["Content-Encoding"] = "gzip"
        return self.plain(method, url, body, given)

    def plain(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Send a request as it is, without authentication."""
        import urllib3.exceptions as faults

        where = self.scrubbed(url.partition("?")[0])
        _check_headers(headers)
        try:
            answer = self._pool(url).request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False
            )
            data = answer.read(_MAX_ANSWER_BYTES, decode_content=True)
            if answer.closed:  # it is complete
                answer.release_conn()
            else:
                answer.close()
        except (faults.SSLError, ssl.SSLError) as error:
            if _is_broken_off(error):
                raise _away(where, self.scrubbed(_cause(error))) from None
            raise UnavailableError(
                f"no secure connection to {where}: {self.scrubbed(_cause(error))}",
                hint="set `ca_file` to the CA certificate of the server",
            ) from None
        except (faults.LocationValueError, UnicodeError) as error:
            raise ConfigError(
                f"{where} is not an address: {self.scrubbed(_cause(error))}",
                field="url",
                code="url_bad",
            ) from None
        except (faults.HTTPError, OSError) as error:
            raise _away(where, self.scrubbed(_cause(error))) from None
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, found, self.scrubbed_bytes(data))

    def scrubbed_bytes(self, data: bytes) -> bytes:
        """Replace secrets in the body of an answer."""
        for secret in (*self._secrets, *self._learned):
            data = data.replace(secret.encode(), b"***")
        return data

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return the connections to a host: directly, or by the proxy that the environment names."""
        import urllib3

        proxy = _proxy_of(url)
        with self._lock:
            if proxy in self._pools:
                return self._pools[proxy]
            config = self._config
            if not config.verify_tls:  # as the user wants it
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            options: dict[str, Any] = {
                "maxsize": config.connections + 1,
                "timeout": urllib3.Timeout(config.timeout),
                "retries": False,
                "ssl_context": self._tls(),
            }
            if proxy is None:
                self._pools[proxy] = urllib3.PoolManager(**options)
            else:
                login = urllib3.util.parse_url(proxy).auth
                headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
                self._pools[proxy] = urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
            return self._pools[proxy]

    def _tls(self) -> ssl.SSLContext:
        config, path = self._config, self._context.path
        files = ("ca_file", "client_certificate", "client_key")
        chosen = {name: path(text) for name in files if (text := getattr(config, name)) is not None}
        try:
            context = ssl.create_default_context(cafile=chosen.get("ca_file"))
            if "client_certificate" in chosen:
                context.load_cert_chain(chosen["client_certificate"], chosen.get("client_key"))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{' or '.join(chosen)} cannot be read: {error}",
                field=next(iter(chosen), None),
                code="certificate_bad",
                hint="they are files of PEM texts",
            ) from None
        if not config.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _login(self, config: ConnectionConfig) -> Authorize:
        headers: dict[str, str] = {}
        if isinstance(config, LoginConfig):
            if config.oauth2 is not None:
                self._tokens = _Tokens(self, config.oauth2, self._context)
                return self._tokens.headers
            if config.token is not None:
                headers["Authorization"] = f"Bearer {config.token.get_secret_value()}"
            if config.user is not None and config.password is not None:
                login = f"{config.user}:{config.password.get_secret_value()}"
                self._secrets.append(encoded := base64.b64encode(login.encode()).decode())
                headers["Authorization"] = f"Basic {encoded}"
        return lambda: headers

    def learn(self, secret: str) -> None:
        """Keep a token out of messages, until some newer ones have replaced it."""
        self._learned = (*self._learned[1 - _MOST_LEARNED :], secret)


class _Tokens:
    """Fetches tokens by the client credentials grant, and keeps the last one."""

    def __init__(self, client: HttpClient, option: OAuth2, context: Context) -> None:
        self._client = client
        self._option = option
        self._clock = context.clock
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def headers(self) -> dict[str, str]:
        """Return the header with a valid token."""
        with self._lock:
            if not self._token or self._clock.monotonic() > self._until:
                self._fetch()
            return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        """Fetch a new token next time, since this one is refused."""
        with self._lock:
            self._token = ""

    def _fetch(self) -> None:
        option = self._option
        form = {
            "grant_type": "client_credentials",
            "client_id": option.client_id,
            "client_secret": option.client_secret.get_secret_value(),
            **({"scope": option.scope} if option.scope else {}),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._client.plain("POST", option.token_url, urlencode(form).encode(), headers)
        where = option.token_url.partition("?")[0]
        error = error_of(answer, where)
        if isinstance(error, Refusal):
            raise AccessError(error.fault.detail, hint="check the options of `oauth2`")
        if error is not None:
            raise error
        value: Any = answer.json
        token = value.get("access_token") if isinstance(value, dict) else None
        if not isinstance(token, str) or not token:
            raise RunError(f"{where} answers without a token", code="refused")
        lifetime = value.get("expires_in")
        secs = float(lifetime) if isinstance(lifetime, int | float) else 300.0
        self._until = self._clock.monotonic() + max(secs - _MARGIN_SECS, secs / 2)
        self._token = token
        self._client.learn(token)


def _proxy_of(url: str) -> str | None:
    """Return the proxy for an address, by HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _secrets(value: Any) -> Iterator[str]:
    """Yield the secrets of options, at any depth."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)


def _check_headers(headers: Mapping[str, str]) -> None:
    """Raise ConfigError, without the value, if a header cannot be sent."""
    for name, value in headers.items():
        if set(value) & {"\r", "\n", "\0"} or max(value, default="") > "\xff":
            raise ConfigError(
                f"the value of the header {name} has line ends, or letters that HTTP does not take",
                hint="see whether the token or key that it is made of ends with a line end",
            )


def _is_broken_off(error: BaseException) -> bool:
    """Return whether a secure connection has ended, as it does when a server goes down."""
    cause = error.args[0] if error.args and isinstance(error.args[0], ssl.SSLError) else error
    return isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)


def _away(where: str, why: str) -> RetryableError:
    return RetryableError(
        f"{where} does not answer: {why}",
        code="unreachable",
        hint="check the address, and that the server is up",
    )


def _cause(error: BaseException) -> str:
    """Return the message of the innermost cause of a library's error."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    return f"{type(error).__name__}: {error}"
