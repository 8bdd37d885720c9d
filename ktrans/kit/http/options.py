"""Options of sinks that send HTTP requests: connection, authentication, size of requests."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from ktrans.api import ComponentConfig
from ktrans.kit.units import Duration, Size


def http_url(value: str, *, query: bool = False, no_query: str = "the URL has no query") -> str:
    """Check a URL; return it without a slash at the end, or as it is if it may have a query.

    `no_query` is the message about a query that may not be there.

    Raises:
        ValueError: it is no URL of HTTP, or it has credentials or a query that may not be there.
    """
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("a URL begins with http:// or https:// and has a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("put user and password into their options, not into the URL")
    if parts.fragment or (parts.query and not query):
        raise ValueError("the URL has no part after `#`" if query else no_query)
    if parts.port == 0:
        raise ValueError("a port is a number from 1 to 65535")
    return value if query else value.rstrip("/")


class ConnectionConfig(ComponentConfig):
    """Options of the connection and of requests, but for their compression."""

    headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="More headers of each request; the values are secrets.",
        examples=[{"X-Api-Key": "${env:API_KEY}"}],
    )
    verify_tls: bool = Field(True, description="Verify the server's certificate.", examples=[True])
    ca_file: str | None = Field(
        None,
        description="CA certificates to verify the server with (PEM); by default those of the system.",
        examples=["/etc/ssl/private-ca.pem"],
    )
    client_certificate: str | None = Field(
        None,
        description="A certificate that the client shows to the server (PEM); may hold its key too.",
        examples=["/etc/ktrans/client.pem"],
    )
    client_key: str | None = Field(
        None, description="The key of that certificate (PEM).", examples=["/etc/ktrans/client.key"]
    )
    batch_rows: int = Field(
        5000, ge=1, le=1_000_000, description="Maximum rows of a request.", examples=[1000]
    )
    batch_size: Size = Field(
        4_000_000,
        ge=1024,
        le=256 << 20,
        description="Maximum size of a request, before compression. A larger row is a request by itself.",
        examples=[1_000_000],
    )
    connections: int = Field(
        2, ge=1, le=64, description="Maximum concurrent requests.", examples=[4]
    )
    timeout: Duration = Field(
        30,
        gt=0,
        description="How long to wait for a connection, and then for each part of an answer.",
        examples=[30],
    )
    retry_timeout: Duration = Field(
        120,
        ge=0,
        description="How long to retry a request while the server is busy or unreachable; then the"
        " task fails and the engine retries it.",
        examples=[120],
    )

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("`client_key` needs `client_certificate`")
        return self

    @field_validator("headers")
    @classmethod
    def _header(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, text in value.items():
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} is not the name of a header")
            if set(text.get_secret_value()) & {"\r", "\n", "\0"}:
                raise ValueError(f"the value of {name} has line ends")
        return value


class OAuth2(BaseModel):
    """The OAuth 2.0 client credentials grant (RFC 6749, section 4.4)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token_url: str = Field(
        description="Where tokens are issued.", examples=["https://login.example/oauth2/token"]
    )
    client_id: str = Field(min_length=1, description="The client's id.", examples=["ktrans"])
    client_secret: SecretStr = Field(
        description="The client's secret.", examples=["${env:CLIENT_SECRET}"]
    )
    scope: str | None = Field(
        None, description="The scopes to ask for, with spaces between.", examples=["logs.write"]
    )

    @field_validator("token_url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value, query=True)


class HttpConfig(ConnectionConfig):
    """Options of the connection and of requests, which may be compressed with gzip."""

    gzip: bool = Field(True, description="Compress requests with gzip.", examples=[True])


class LoginConfig(ConnectionConfig):
    """Options of authentication too: user and password, a bearer token, or OAuth 2.0."""

    user: str | None = Field(
        None, min_length=1, description="User, for basic authentication.", examples=["ktrans"]
    )
    password: SecretStr | None = Field(
        None, description="Password of that user.", examples=["${env:PASSWORD}"]
    )
    token: SecretStr | None = Field(
        None,
        description="Token, sent as `Authorization: Bearer`. Other schemes and names go into `headers`.",
        examples=["${env:TOKEN}"],
    )
    oauth2: OAuth2 | None = Field(
        None,
        description="OAuth 2.0 client credentials, with which bearer tokens are fetched and renewed.",
        examples=[
            {
                "token_url": "https://login.example/oauth2/token",
                "client_id": "ktrans",
                "client_secret": "${env:CLIENT_SECRET}",
            }
        ],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` go together")
        ways = [self.user, self.token, self.oauth2]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("take one of `user`, `token` and `oauth2`")
        return self


class HttpLoginConfig(LoginConfig, HttpConfig):
    """Options of the connection, of authentication and of compression."""
