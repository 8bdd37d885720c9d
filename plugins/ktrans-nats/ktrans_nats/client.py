"""Connections to NATS, each for one delivery or check, and requests of the API of JetStream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from ktrans.api import ConfigError, Context, KtransError
from ktrans.kit.messages.tls import tls_context
from ktrans_nats.config import NatsSinkConfig
from ktrans_nats.errors import answer_error, connection_error

T = TypeVar("T")
_CLOSE_SECS = 2


class Connection:
    """An open connection.

    Attributes:
        nats: the client of nats-py.
        where: the server, for messages.
    """

    def __init__(self, config: NatsSinkConfig, nats: Any, said: list[Exception]) -> None:
        self.nats = nats
        self.where = config.servers[0]
        self._said = said
        self._timeout = config.timeout
        self._api = f"$JS.{config.domain}.API" if config.domain else "$JS.API"

    async def request(
        self, subject: str, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a message and return the answer as JSON; any other answer is an empty mapping."""
        answer = await self.nats.request(
            subject, data, timeout=self._timeout, headers=headers or None
        )
        try:
            found = json.loads(answer.data)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    async def api(self, name: str, what: str, **arguments: Any) -> dict[str, Any] | None:
        """Ask the API of JetStream; None if what was asked for is not there.

        Raises:
            KtransError: any other answer.
        """
        answer = await self.request(f"{self._api}.{name}", json.dumps(arguments).encode())
        if (error := answer.get("error")) is None:
            return answer
        if error.get("code") == 404:  # noqa: PLR2004  # as in HTTP
            return None
        raise answer_error(error, f"{self.where}: {what}")

    def check(self) -> None:
        """Raise what the client reported since the last check: a permission that is missing."""
        said, self._said[:] = list(self._said), []
        if said and (error := connection_error(said[-1], said, self.where)) is not None:
            raise error


def call(
    config: NatsSinkConfig, context: Context, work: Callable[[Connection], Coroutine[Any, Any, T]]
) -> T:
    """Connect, do some work, and disconnect.

    Raises:
        KtransError: what failed.
    """

    async def whole() -> T:
        said: list[Exception] = []
        try:
            async with _connected(config, context, said) as connection:
                return await work(connection)
        except KtransError:
            raise
        except Exception as error:
            made = connection_error(error, said, config.servers[0])
            if made is None:
                raise
            raise made from error

    return asyncio.run(whole())


@contextlib.asynccontextmanager
async def _connected(
    config: NatsSinkConfig, context: Context, said: list[Exception]
) -> AsyncIterator[Connection]:
    from nats.aio.client import Client

    client: Any = Client()

    async def hear(error: Exception) -> None:
        said.append(error)

    def check_encrypted() -> None:
        # The client takes an unencrypted connection if the server offers no other.
        if config.encrypted and not client._server_info.get("tls_required"):  # noqa: SLF001
            raise ConfigError(
                f"{config.servers[0]} offers no encryption",
                code="not_encrypted",
                hint="enable TLS on the server, or leave out the TLS options",
            )

    def secret(text: str) -> Callable[[], str]:
        def give() -> str:
            check_encrypted()
            return text

        return give

    try:
        await client.connect(
            config.servers,
            name=f"ktrans {context.pipeline}/{context.name}",
            error_cb=hear,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=config.timeout,
            tls=tls_context(config, context, "nats_tls") if config.encrypted else None,
            tls_handshake_first=config.tls_first,
            **_login(config, context, secret),
        )
        check_encrypted()
        yield Connection(config, client, said)
    finally:
        with contextlib.suppress(Exception):  # it may be gone, or never have come up
            await asyncio.wait_for(client.close(), _CLOSE_SECS)


def _login(
    config: NatsSinkConfig, context: Context, secret: Callable[[str], Callable[[], str]]
) -> dict[str, Any]:
    if config.username is not None and config.password is not None:
        return {
            "user": secret(config.username),
            "password": secret(config.password.get_secret_value()),
        }
    if config.token is not None:
        return {"token": secret(config.token.get_secret_value())}
    if config.credentials_file is not None:
        return {"user_credentials": _file(context, config.credentials_file, "credentials_file")}
    if config.nkey_file is not None:
        return {"nkeys_seed": _file(context, config.nkey_file, "nkey_file")}
    return {}


def _file(context: Context, name: str, option: str) -> str:
    path: Path = context.path(name)
    try:
        with path.open("rb"):
            return str(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}",
            field=option,
            code="nats_login",
        ) from error
