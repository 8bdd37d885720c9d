"""What source and sink have in common: how to reach a Kafka cluster, and with which credentials."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.api import ComponentConfig, Context, KtransError
from ktrans.kit.units import Duration
from ktrans_kafka.errors import is_access, kafka_error, name_of, translate

Setting = str | int | float | bool

_SECRET = re.compile(r"password|secret|\.key\.pem|token|jaas")
_CONNECTION = {
    "bootstrap.servers": "bootstrap_servers",
    "metadata.broker.list": "bootstrap_servers",
    "client.id": "client_id",
    "security.protocol": "tls and sasl_mechanism",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "username",
}
_TELLING = ("_AUTHENTICATION", "_SSL", "_RESOLVE")


class KafkaOptions(ComponentConfig):
    """How to reach a Kafka cluster. The base of the source's and of the sink's options."""

    owned: ClassVar[dict[str, str]] = {}
    """librdkafka settings that the component sets itself, and the option (or reason) instead."""

    bootstrap_servers: list[str] = Field(
        min_length=1,
        description="Brokers to ask first, host:port; the others are learnt from them. One entry"
        " may hold several, with commas in between.",
        examples=[["kafka-1:9092", "kafka-2:9092"], ["${env:KAFKA_BROKERS}"]],
    )
    client_id: str | None = Field(
        None,
        description="What the brokers' logs and quotas call this client; by default"
        " `ktrans-<pipeline>`.",
        examples=["ktrans-flows"],
    )
    tls: bool = Field(
        False, description="Whether the connection is encrypted by TLS.", examples=[True]
    )
    tls_ca_file: str | None = Field(
        None,
        description="Certificates of the authorities that the brokers' ones are signed by (PEM);"
        " by default those that the system trusts.",
        examples=["/etc/ktrans/kafka-ca.pem"],
    )
    tls_certificate_file: str | None = Field(
        None,
        description="The client's own certificate (PEM), for brokers that ask for one.",
        examples=["/etc/ktrans/client.pem"],
    )
    tls_key_file: str | None = Field(
        None, description="Its private key (PEM).", examples=["/etc/ktrans/client.key"]
    )
    tls_key_password: SecretStr | None = Field(
        None,
        description="The password of the private key.",
        examples=["${file:/run/secrets/kafka-key}"],
    )
    tls_verify_hostname: bool = Field(
        True,
        description="Whether a broker's certificate must name the host that was asked.",
        examples=[True],
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = (
        Field(
            None,
            description="How to log in; without it the client stays anonymous (or is known by its"
            " certificate).",
            examples=["SCRAM-SHA-512", "PLAIN", "OAUTHBEARER"],
        )
    )
    username: str | None = Field(
        None, description="Who logs in (PLAIN, SCRAM).", examples=["ktrans", "$$ConnectionString"]
    )
    password: SecretStr | None = Field(
        None,
        description="The password (PLAIN, SCRAM).",
        examples=["${env:KAFKA_PASSWORD}", "${file:/run/secrets/kafka}"],
    )
    oauth_token_url: str | None = Field(
        None,
        description="Token endpoint of the identity provider (OAUTHBEARER, client credentials).",
        examples=["https://login.example.com/oauth2/token"],
    )
    oauth_client_id: str | None = Field(
        None, description="The client's id there.", examples=["ktrans"]
    )
    oauth_client_secret: SecretStr | None = Field(
        None, description="The client's secret there.", examples=["${env:OAUTH_SECRET}"]
    )
    oauth_scope: str | None = Field(
        None, description="Scope to ask for.", examples=["kafka", "https://ns.example/.default"]
    )
    oauth_extensions: dict[str, str] = Field(
        default={},
        description="SASL extensions sent with the token; some clouds need them.",
        examples=[{"logicalCluster": "lkc-1", "identityPoolId": "pool-1"}],
    )
    connect_timeout: Duration = Field(
        30.0,
        gt=0,
        description="How long to wait for the cluster's answer about itself and its topics.",
        examples=[30, 10],
    )
    librdkafka: dict[str, Setting] = Field(
        default={},
        description="Any further settings of librdkafka by their own names (its CONFIGURATION.md),"
        " for what has no option here.",
        examples=[{"socket.keepalive.enable": True, "broker.address.family": "v4"}],
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
    def _leaves_ours_alone(self) -> Self:
        for name in self.librdkafka:
            instead = (_CONNECTION | self.owned).get(name)
            if instead is not None:
                raise ValueError(f"{name} cannot be set under librdkafka: {instead}")
            if _SECRET.search(name):
                raise ValueError(
                    f"{name} looks like a secret, which does not belong under librdkafka, where it"
                    " would be printed; there are options of their own for passwords"
                )
        return self


def connection(config: KafkaOptions, context: Context) -> dict[str, Any]:
    """Give the client's settings for reaching the cluster, the free ones of the user included.

    Args:
        config: the component's options.
        context: its place, for relative paths, its name and its logger.

    Returns:
        A dict for `confluent_kafka.Producer`, `Consumer` or `AdminClient`, secrets in clear: never
        to be printed. Components add their own settings and an `error_cb`.
    """
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(config.bootstrap_servers),
        "client.id": config.client_id or f"ktrans-{context.pipeline}",
        "logger": context.log,
        # Each lost connection is reported to `error_cb` too, and told when it ends in an error; as
        # log lines they come many times a second.
        "log_level": 2,
        "socket.keepalive.enable": True,
        # Names resolve to several addresses in most clusters; the first may not be reachable.
        "client.dns.lookup": "use_all_dns_ips",
    }
    settings |= _security(config, context)
    settings |= config.librdkafka
    return settings


def _security(config: KafkaOptions, context: Context) -> dict[str, Any]:
    made: dict[str, Any] = {}
    sasl = config.sasl_mechanism
    protocol = ("SASL_" if sasl else "") + ("SSL" if config.tls else "PLAINTEXT")
    if protocol != "PLAINTEXT":
        made["security.protocol"] = protocol
    if config.tls:
        made["ssl.endpoint.identification.algorithm"] = (
            "https" if config.tls_verify_hostname else "none"
        )
        files = {
            "ssl.ca.location": config.tls_ca_file,
            "ssl.certificate.location": config.tls_certificate_file,
            "ssl.key.location": config.tls_key_file,
        }
        made |= {name: str(context.path(path)) for name, path in files.items() if path is not None}
        made |= _plain("ssl.key.password", config.tls_key_password)
    if sasl is not None:
        made["sasl.mechanisms"] = sasl
    if sasl == "OAUTHBEARER":
        made |= {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": config.oauth_token_url,
            "sasl.oauthbearer.client.id": config.oauth_client_id,
        }
        made |= _plain("sasl.oauthbearer.client.secret", config.oauth_client_secret)
        if config.oauth_scope is not None:
            made["sasl.oauthbearer.scope"] = config.oauth_scope
        if config.oauth_extensions:
            pairs = (f"{key}={value}" for key, value in config.oauth_extensions.items())
            made["sasl.oauthbearer.extensions"] = ",".join(pairs)
    elif sasl is not None:
        made["sasl.username"] = config.username
        made |= _plain("sasl.password", config.password)
    return made


def _plain(name: str, secret: SecretStr | None) -> dict[str, str]:
    return {} if secret is None else {name: secret.get_secret_value()}


class Troubles:
    """Remembers what a client says about its connections, to explain a timeout later.

    Give it to a client as `error_cb`. librdkafka reports a refused login or a bad certificate there
    and only there: the call that waited for the broker merely times out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, Any] = {}

    def __call__(self, error: Any) -> None:
        """Take an error; called by the client while it is polled."""
        with self._lock:
            self._last[name_of(error)] = error

    def clear(self) -> None:
        """Forget: the cluster has answered."""
        with self._lock:
            self._last.clear()

    @property
    def access(self) -> Any | None:
        """A refused login or certificate, if there was one: waiting will not help."""
        with self._lock:
            return next((e for e in self._last.values() if is_access(e)), None)

    def explain(self, error: Any, doing: str, *, connecting: bool = False) -> KtransError:
        """Translate an error; a mere timeout by what was reported before, which says more."""
        inner = kafka_error(error)
        with self._lock:
            known = dict(self._last)
        if name_of(inner) in ("_TRANSPORT", "_TIMED_OUT", "_MSG_TIMED_OUT", "_ALL_BROKERS_DOWN"):
            names = [*_TELLING, "_TRANSPORT", "_ALL_BROKERS_DOWN"]
            inner = next((known[name] for name in names if name in known), inner)
        return translate(inner, doing, connecting=connecting)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a cluster says about a topic: its partitions, or why there are none."""

    topic: str
    partitions: list[int]
    error: str | None = None
    error_name: str = ""


def topic_metadata(client: Any, troubles: Troubles, topic: str, timeout_secs: float) -> Metadata:
    """Ask the cluster about one topic.

    Args:
        client: a Producer, Consumer or AdminClient.
        troubles: its error_cb.
        topic: the name.
        timeout_secs: how long to wait for an answer.

    Raises:
        KtransError: the cluster cannot be reached, or refuses the login.
    """
    import confluent_kafka

    try:
        found = client.list_topics(topic, timeout_secs)
    except confluent_kafka.KafkaException as error:
        if hasattr(client, "poll"):
            client.poll(0)  # lets the client report why
        raise troubles.explain(error, "kafka: asking the cluster", connecting=True) from error
    about = found.topics.get(topic)
    if about is None:
        return Metadata(topic=topic, partitions=[], error_name="UNKNOWN_TOPIC_OR_PART")
    if about.error is not None:
        return Metadata(
            topic=topic, partitions=[], error=about.error.str(), error_name=about.error.name()
        )
    return Metadata(topic=topic, partitions=sorted(about.partitions))
