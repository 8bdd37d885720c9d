"""Asks Azure Resource Graph for everything that has an address.

Source: Microsoft Learn, "Azure Resource Graph REST API: Resources - Resources", and "Guidance for
throttled requests in Azure Resource Graph".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

from pydantic import Field

from ktrans.api import AccessError, ComponentConfig, Context
from ktrans.kit.inventory.records import Snapshot
from ktrans.kit.retry import interruptible_sleep, may_pass, with_retries
from ktrans_azure.account import RETRY, identity_credential
from ktrans_azure.errors import azure_errors
from ktrans_azure.network_inventory import Interface, decoded, interfaces

ENDPOINT = "https://management.azure.com"
_TYPES = (
    *("microsoft.network/networkinterfaces", "microsoft.network/publicipaddresses"),
    *("microsoft.network/loadbalancers", "microsoft.network/applicationgateways"),
    *("microsoft.network/azurefirewalls", "microsoft.network/virtualnetworkgateways"),
    *("microsoft.network/bastionhosts", "microsoft.compute/virtualmachines"),
)
_QUERY = (
    f"Resources | where type in~ ({', '.join(repr(one) for one in _TYPES)}) "
    "| project id, name, type, location, zones, tags, properties | order by id asc"
)
_URL = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
_HINT = "give the identity the role Reader on the subscriptions"


class ResourceGraphConfig(ComponentConfig):
    """Options to ask Azure Resource Graph."""

    identity: Literal["default", "managed"] = Field(
        "default",
        description="The identity. `default` tries the environment, a workload identity, a managed "
        "identity and the Azure CLI in turn; `managed` is the managed identity of this machine.",
        examples=["managed"],
    )
    client_id: str | None = Field(
        None,
        description="Client id of a user-assigned managed identity.",
        examples=["6f1c9a52-0000-4000-8000-0123456789ab"],
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^?]+$",
        description="Address of Azure Resource Manager, for national clouds. An identity is only shown "
        "to https.",
        examples=["https://management.usgovcloudapi.net"],
    )


def take(
    config: ResourceGraphConfig,
    subscriptions: Sequence[str] | None,
    context: Context | None = None,
) -> Snapshot[Interface]:
    """Read all holders of some subscriptions, or of all that the identity may read.

    Raises:
        AccessError, RetryableError, ConfigError: as `azure_errors` makes them.
    """
    taken = datetime.now(UTC).replace(microsecond=0)
    with _client(config) as client:
        return Snapshot(taken, interfaces(_rows(client, subscriptions, context or Context())))


def _client(config: ResourceGraphConfig) -> Any:
    from azure.core import PipelineClient
    from azure.core.pipeline import policies

    endpoint = (config.endpoint or ENDPOINT).rstrip("/")
    chain: list[Any] = [policies.HeadersPolicy(), policies.ProxyPolicy()]
    if endpoint.startswith("https://"):
        credential = identity_credential(config.identity, config.client_id)
        chain.append(policies.BearerTokenCredentialPolicy(credential, f"{endpoint}/.default"))
    return PipelineClient(endpoint, policies=chain)


def _rows(client: Any, subscriptions: Sequence[str] | None, context: Context) -> Iterator[Any]:
    options: dict[str, Any] = {"$top": 1000, "resultFormat": "objectArray"}
    body: dict[str, Any] = {"query": _QUERY, "options": options}
    if subscriptions:
        body["subscriptions"] = list(subscriptions)
    while True:
        page = with_retries(
            lambda: _post(client, body),
            RETRY,
            retry_if=lambda error: may_pass(error) and not context.stopping(),
            sleep=interruptible_sleep(context.stopping, context.clock),
            health=context.health,
        )
        yield from page.get("data") or ()
        token = page.get("$skipToken")
        if not token:
            return
        options["$skipToken"] = token


def _post(client: Any, body: dict[str, Any]) -> dict[str, Any]:
    from azure.core.exceptions import HttpResponseError
    from azure.core.rest import HttpRequest

    try:
        with azure_errors("Azure Resource Graph", "identity"):
            response = client.send_request(HttpRequest("POST", client.format_url(_URL), json=body))
            if response.status_code < HTTPStatus.BAD_REQUEST:
                return decoded(response.read())
            raise HttpResponseError(response=response)
    except AccessError as error:
        error.hint = _HINT
        raise
