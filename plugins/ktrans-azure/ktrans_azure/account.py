"""A storage account: its name, its authentication, and the clients for it.

Sources: Microsoft Learn, "Authorize access to data in Azure Storage" and "Configure Azure Storage
connection strings".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, model_validator

from ktrans.api import ComponentConfig, ConfigError, Context
from ktrans.kit.retry import Retry, interruptible_sleep, may_pass, with_retries
from ktrans_azure.errors import azure_errors

_CONNECT_SECS, _READ_SECS = 20, 60
_CONNECTIONS = 256
_SCOPE = "https://storage.azure.com/.default"
PIECE_BYTES = 8 << 20
"""Fetched at a time: one request each, so that a broken connection loses no more."""
RETRY = Retry(attempts=4, first_wait_secs=0.5, max_wait_secs=30, max_asked_secs=60)

R = TypeVar("R")


class AccountConfig(ComponentConfig):
    """The options that every component of an Azure storage account shares."""

    account: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]{3,24}$",
        description="Name of the storage account in the public cloud. Elsewhere give `endpoint`.",
        examples=["contosoflowlogs"],
    )
    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^?]+$",
        description="Address of the account's blob service, for national clouds, private endpoints "
        "and the Azurite emulator. Instead of `account`.",
        examples=[
            "https://contosoflowlogs.blob.core.chinacloudapi.cn",
            "http://127.0.0.1:10000/devstoreaccount1",
        ],
    )
    connection_string: SecretStr | None = Field(
        default=None,
        description="The account's connection string, which names the account and holds a key or "
        "a shared access signature.",
        examples=["${env:AZURE_STORAGE_CONNECTION_STRING}"],
    )
    account_key: SecretStr | None = Field(
        default=None,
        description="One of the account's two keys. It has all rights on the whole account: prefer "
        "an identity or a shared access signature.",
        examples=["${file:/run/secrets/azure-key}"],
    )
    sas_token: SecretStr | None = Field(
        default=None,
        description="A shared access signature (SAS), with or without its leading question mark.",
        examples=["${env:AZURE_SAS_TOKEN}"],
    )
    identity: Literal["default", "managed", "anonymous"] = Field(
        default="default",
        description="The identity, if no connection string, key or signature is given. `default` "
        "tries the environment, a workload identity, a managed identity and the Azure CLI in turn; "
        "`managed` is the managed identity of this machine; `anonymous` is for public containers.",
        examples=["managed"],
    )
    client_id: str | None = Field(
        default=None,
        description="Client id of a user-assigned managed identity.",
        examples=["6f1c9a52-0000-4000-8000-0123456789ab"],
    )

    @model_validator(mode="after")
    def _one_authentication(self) -> Self:
        given = [
            name
            for name in ("connection_string", "account_key", "sas_token")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"give one of {' and '.join(given)}, not both")
        if self.account and self.endpoint:
            raise ValueError("give one of account and endpoint, not both")
        if self.connection_string and (self.account or self.endpoint):
            raise ValueError("connection_string names the account itself: drop account or endpoint")
        if not (self.connection_string or self.account or self.endpoint):
            raise ValueError("name the account: give account, endpoint or connection_string")
        http = (self.endpoint or "").startswith("http://")
        if http and not given and self.identity != "anonymous":
            raise ValueError("an identity is only shown to https: give account_key or sas_token")
        if given and self.client_id:
            raise ValueError(f"client_id has no meaning beside {given[0]}")
        return self

    @property
    def authentication(self) -> str:
        """How this account is used: by which option or identity."""
        for name in ("connection_string", "account_key", "sas_token"):
            if getattr(self, name) is not None:
                return name
        return f"identity: {self.identity}"


class Account:
    """The clients of one account, made on first use and closed with it."""

    def __init__(self, config: AccountConfig, context: Context) -> None:
        self.config = config
        self._context = context
        self._service: Any = None
        self._closing: list[Any] = []

    @property
    def service(self) -> Any:
        if self._service is None:
            from azure.storage.blob import BlobServiceClient

            self._service = self._client(
                BlobServiceClient,
                self._endpoint("blob"),
                max_single_get_size=PIECE_BYTES,
                max_chunk_get_size=PIECE_BYTES,
            )
        return self._service

    @property
    def url(self) -> str:
        """The address of the blob service, without any signature."""
        return str(self.service.primary_endpoint).split("?", 1)[0].rstrip("/")

    def container(self, name: str) -> Any:
        return self.service.get_container_client(name)

    def queue(self, name: str, endpoint: str | None) -> Any:
        from azure.storage.queue import QueueServiceClient

        service = self._client(QueueServiceClient, endpoint or self._endpoint("queue"))
        return service.get_queue_client(name)

    def call(self, what: str, work: Callable[[], R], **known: Any) -> R:
        """Make requests to the account, repeated with growing waits while errors may pass.

        Raises:
            KtransError: as `azure_errors` makes them.
        """

        def once() -> R:
            with azure_errors(what, self.config.authentication, **known):
                return work()

        stopping, clock = self._context.stopping, self._context.clock
        return with_retries(
            once,
            RETRY,
            retry_if=lambda error: may_pass(error) and not stopping(),
            sleep=interruptible_sleep(stopping, clock),
            health=self._context.health,
        )

    def store_options(self) -> dict[str, str]:
        """Return how to reach the account with other libraries, as object_store names it.

        Raises:
            AccessError: there is no identity.
        """
        config, endpoint = self.config, self._endpoint("blob")
        named = {}
        if config.connection_string is not None:
            pairs = config.connection_string.get_secret_value().split(";")
            named = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            endpoint = named.get("BlobEndpoint")
        options = {"azure_storage_account_name": config.account or named.get("AccountName")}
        if endpoint is not None and not config.account:
            options["azure_storage_account_name"] = named.get("AccountName") or _account_of(
                endpoint
            )
            options["azure_storage_endpoint"] = endpoint
            options["azure_allow_http"] = "true" if endpoint.startswith("http://") else None
        credential = None if named else self._credential(endpoint or "")
        if named:
            options["azure_storage_account_key"] = named.get("AccountKey")
            options["azure_storage_sas_token"] = named.get("SharedAccessSignature")
        elif isinstance(credential, dict):
            options["azure_storage_account_key"] = credential["account_key"]
        elif isinstance(credential, str):
            options["azure_storage_sas_token"] = credential
        elif credential is not None:
            with azure_errors("get a token", config.authentication):
                options["azure_storage_token"] = credential.get_token(_SCOPE).token
        else:
            options["azure_skip_signature"] = "true"
        return {name: value for name, value in options.items() if value}

    def close(self) -> None:
        """Close connections; the account can be used again afterwards."""
        closing, self._closing, self._service = self._closing, [], None
        for client in reversed(closing):
            client.close()

    def _endpoint(self, kind: Literal["blob", "queue"]) -> str | None:
        config = self.config
        if config.connection_string is not None:
            return None
        if config.endpoint is not None:
            return config.endpoint.rstrip("/").replace(".blob.", f".{kind}.", 1)
        return f"https://{config.account}.{kind}.core.windows.net"

    def _client(self, kind: Any, endpoint: str | None, **options: Any) -> Any:
        # `call` repeats requests: the SDK ignores Retry-After.
        options |= {"transport": _transport(), "retry_total": 0}
        secret = self.config.connection_string
        if secret is None:
            client = kind(endpoint, credential=self._credential(endpoint or ""), **options)
        else:
            # An endpoint given beside it is that of the queues; the string's other parts apply.
            text = secret.get_secret_value()
            if endpoint is not None:
                text = text.rstrip(";") + f";QueueEndpoint={endpoint}"
            try:
                client = kind.from_connection_string(text, **options)
            except ValueError:
                raise ConfigError(
                    "the connection string is not one of Azure Storage",
                    field="connection_string",
                    hint="copy it from `Access keys` of the storage account",
                ) from None
        self._closing.append(client)
        return client

    def _credential(self, endpoint: str) -> Any:
        config = self.config
        if config.account_key is not None:
            name = config.account or _account_of(endpoint)
            return {"account_name": name, "account_key": config.account_key.get_secret_value()}
        if config.sas_token is not None:
            return config.sas_token.get_secret_value().lstrip("?")
        if config.identity == "anonymous":
            return None
        credential = identity_credential(config.identity, config.client_id)
        self._closing.append(credential)
        return credential


def identity_credential(identity: str, client_id: str | None) -> Any:
    """Return the credential of an identity: `default` or `managed`."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    if identity == "managed":
        return ManagedIdentityCredential(client_id=client_id)
    return DefaultAzureCredential(managed_identity_client_id=client_id)


def _transport() -> Any:
    """Return a transport with a connection for each possible thread."""
    from azure.core.pipeline.transport import RequestsTransport

    transport = RequestsTransport(connection_timeout=_CONNECT_SECS, read_timeout=_READ_SECS)
    transport.open()
    for scheme in ("http://", "https://"):
        transport.session.get_adapter(scheme).init_poolmanager(_CONNECTIONS, _CONNECTIONS)
    return transport


def _account_of(endpoint: str) -> str:
    """Return the account's name from an address: its first label, or an emulator's path."""
    host, _, path = endpoint.split("://", 1)[-1].partition("/")
    return path.split("/", 1)[0] if path else host.split(".", 1)[0]


def lineage_name(config: AccountConfig, container: str) -> str:
    """Return a container's name for lineage: `abfss://container@account.dfs.core.windows.net`."""
    account = config.account
    if account is None and config.endpoint is not None:
        account = _account_of(config.endpoint)
    if account is None and config.connection_string is not None:
        found = re.search(r"AccountName=([^;]+)", config.connection_string.get_secret_value())
        account = found[1] if found else None
    return "" if account is None else f"abfss://{container}@{account}.dfs.core.windows.net"
