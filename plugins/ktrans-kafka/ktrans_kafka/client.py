"""Connection options and client settings that the source and the sink share."""

from __future__ import annotations

import re
import threading
from importlib import import_module
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.api import ComponentConfig, Context, KtransError
from ktrans.kit.units import Duration
from ktrans_kafka.errors import is_access, kafka_error, name_of, translate


class _OnFirstUse:
    """A module that is imported when it is used: the client takes long, and `validate` needs none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


kafka: Any = _OnFirstUse("confluent_kafka")
kafka_admin: Any = _OnFirstUse("confluent_kafka.admin")

Setting = str | int | float | bool

_SECRET = re.compile(r"password|secret|\.key\.pem|token|jaas")
_CONNECTION = {
    "bootstrap.servers": "bootstrap_servers",
    "metadata.broker.list": "bootstrap_servers",
    "security.protocol": "tls and sasl_mechanism",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "username",
}
_SECURITY = {
    "tls_ca_file": "ssl.ca.location",
    "tls_certificate_file": "ssl.certificate.location",
    "tls_key_file": "ssl.key.location",
    "tls_key_password": "ssl.key.password",
    "sasl_mechanism": "sasl.mechanisms",
    "username": "sasl.username",
    "password": "sasl.password",
    "oauth_token_url": "sasl.oauthbearer.token.endpoint.url",
    "oauth_client_id": "sasl.oauthbearer.client.id",
    "oauth_client_secret": "sasl.oauthbearer.client.secret",
    "oauth_scope": "sasl.oauthbearer.scope",
}
"""The librdkafka setting of each option."""

_CAUSES = ("_AUTHENTICATION", "_SSL", "_RESOLVE")


class KafkaConfig(ComponentConfig):
    """Connection options of a Kafka cluster; the base of the source's and the sink's options."""

    owned: ClassVar[dict[str, str]] = {}
    """librdkafka settings that users may not set, with the option to use instead or the reason."""

    bootstrap_servers: list[str] = Field(
        min_length=1,
        description="Bootstrap brokers, host:port; the other brokers are discovered. One entry"
        " may hold several, separated by commas.",
        examples=[["kafka-1:9092", "kafka-2:9092"], ["${env:KAFKA_BROKERS}"]],
    )
    tls: bool = Field(False, description="Encrypt the connection with TLS.", examples=[True])
    tls_ca_file: str | None = Field(
        None,
        description="CA certificates to verify the brokers with (PEM); by default those of the"
        " system.",
        examples=["/etc/ktrans/kafka-ca.pem"],
    )
    tls_certificate_file: str | None = Field(
        None,
        description="Client certificate (PEM), for brokers that require one.",
        examples=["/etc/ktrans/client.pem"],
    )
    tls_key_file: str | None = Field(
        None,
        description="Private key of the client certificate (PEM).",
        examples=["/etc/ktrans/client.key"],
    )
    tls_key_password: SecretStr | None = Field(
        None,
        description="Password of the private key.",
        examples=["${file:/run/secrets/kafka-key}"],
    )
    tls_verify_hostname: bool = Field(
        True,
        description="Check that a broker's certificate matches its host name.",
        examples=[True],
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = (
        Field(
            None,
            description="SASL mechanism; without it the client is anonymous, or identified by its"
            " certificate.",
            examples=["SCRAM-SHA-512", "PLAIN", "OAUTHBEARER"],
        )
    )
    username: str | None = Field(
        None, description="User name (PLAIN, SCRAM).", examples=["ktrans", "$$ConnectionString"]
    )
    password: SecretStr | None = Field(
        None,
        description="Password (PLAIN, SCRAM).",
        examples=["${env:KAFKA_PASSWORD}", "${file:/run/secrets/kafka}"],
    )
    oauth_token_url: str | None = Field(
        None,
        description="Token endpoint of the identity provider (OAUTHBEARER, client credentials).",
        examples=["https://login.example.com/oauth2/token"],
    )
    oauth_client_id: str | None = Field(None, description="OAuth client id.", examples=["ktrans"])
    oauth_client_secret: SecretStr | None = Field(
        None, description="OAuth client secret.", examples=["${env:OAUTH_SECRET}"]
    )
    oauth_scope: str | None = Field(
        None,
        description="OAuth scope to request.",
        examples=["kafka", "https://ns.example/.default"],
    )
    connect_timeout: Duration = Field(
        30.0,
        gt=0,
        description="How long to wait for answers of the cluster.",
        examples=[30, 10],
    )
    librdkafka: dict[str, Setting] = Field(
        default={},
        description="Further settings of librdkafka (see its CONFIGURATION.md) that have no option"
        " here.",
        examples=[{"client.id": "flows", "broker.address.family": "v4"}],
    )

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers(cls, value: list[str]) -> list[str]:
        servers = [part.strip() for entry in value for part in entry.split(",") if part.strip()]
        if not servers:
            raise ValueError("name at least one broker, host:port")
        return servers

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.sasl_mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            if self.username is None or self.password is None:
                raise ValueError(
                    f"sasl_mechanism {self.sasl_mechanism} needs username and password"
                )
        elif self.username is not None or self.password is not None:
            raise ValueError("username and password need sasl_mechanism PLAIN or SCRAM-SHA-...")
        oauth = (self.oauth_token_url, self.oauth_client_id, self.oauth_client_secret)
        if self.sasl_mechanism == "OAUTHBEARER" and None in oauth:
            raise ValueError(
                "sasl_mechanism OAUTHBEARER needs oauth_token_url, oauth_client_id and"
                " oauth_client_secret"
            )
        if self.sasl_mechanism != "OAUTHBEARER" and (any(oauth) or self.oauth_scope):
            raise ValueError("the oauth_ options need sasl_mechanism: OAUTHBEARER")
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file go together")
        files = (self.tls_ca_file, self.tls_certificate_file)
        if not self.tls and any(files):
            raise ValueError("the tls_ options need tls: true")
        return self

    @model_validator(mode="after")
    def _no_owned_settings(self) -> Self:
        for name in self.librdkafka:
            instead = (_CONNECTION | self.owned).get(name)
            if instead is not None:
                raise ValueError(f"{name} cannot be set under librdkafka: {instead}")
            if _SECRET.search(name):
                raise ValueError(
                    f"{name} looks like a secret: settings under librdkafka are printed; use the"
                    " options for passwords"
                )
        return self


def connection(config: KafkaConfig, context: Context) -> dict[str, Any]:
    """Return the client settings for the connection, including the user's `librdkafka` settings.

    They have secrets in clear text: never print them. Components add their own, and an `error_cb`.
    """
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(config.bootstrap_servers),
        "client.id": f"ktrans-{context.pipeline}",
        "logger": context.log,
        # Lost connections are reported to `error_cb` too, and part of the error if they cause one;
        # librdkafka would log them many times a second.
        "log_level": 2,
        "socket.keepalive.enable": True,
        # A name may resolve to several addresses, and the first may be unreachable.
        "client.dns.lookup": "use_all_dns_ips",
    }
    settings |= _security(config, context)
    settings |= config.librdkafka
    return settings


def _security(config: KafkaConfig, context: Context) -> dict[str, Any]:
    made: dict[str, Any] = {}
    protocol = ("SASL_" if config.sasl_mechanism else "") + ("SSL" if config.tls else "PLAINTEXT")
    if protocol != "PLAINTEXT":
        made["security.protocol"] = protocol
    if config.tls:
        made["ssl.endpoint.identification.algorithm"] = (
            "https" if config.tls_verify_hostname else "none"
        )
    if config.sasl_mechanism == "OAUTHBEARER":
        made["sasl.oauthbearer.method"] = "oidc"
    for option, name in _SECURITY.items():
        value = getattr(config, option)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif value is not None and option.endswith("_file"):
            value = str(context.path(value))
        if value is not None:
            made[name] = value
    return made


class ConnectionErrors:
    """Collects the connection errors of a client, to explain later timeouts.

    Pass it to a client as `error_cb`. librdkafka reports a refused login or a bad certificate only
    there: the call that waits for the broker just times out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, Any] = {}

    def __call__(self, error: Any) -> None:
        """Record an error; the client calls this while it is polled."""
        with self._lock:
            self._last[name_of(error)] = error

    def clear(self) -> None:
        """Forget all errors, since the cluster has answered."""
        with self._lock:
            self._last.clear()

    @property
    def access(self) -> Any | None:
        """The last refused login or certificate, which no retry will fix; None without one."""
        with self._lock:
            return next((e for e in self._last.values() if is_access(e)), None)

    def explain(self, error: Any, doing: str, *, connecting: bool = False) -> KtransError:
        """Translate an error; replace a timeout by the recorded error that explains it."""
        inner = kafka_error(error)
        with self._lock:
            known = dict(self._last)
        if name_of(inner) in ("_TRANSPORT", "_TIMED_OUT", "_MSG_TIMED_OUT", "_ALL_BROKERS_DOWN"):
            names = [*_CAUSES, "_TRANSPORT", "_ALL_BROKERS_DOWN"]
            inner = next((known[name] for name in names if name in known), inner)
        return translate(inner, doing, connecting=connecting)
