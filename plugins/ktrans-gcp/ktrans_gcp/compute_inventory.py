"""Addresses of Google Cloud: from the Compute Engine API, or from exports of gcloud and Asset Inventory.

Fields: Compute Engine API v1, `instances`, `addresses` and `forwardingRules` (aggregatedList); Cloud
Asset Inventory, "Exporting asset metadata" (`resource.data` is the resource of that API).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ktrans.api import Context
from ktrans.kit.inventory.files import SnapshotReader
from ktrans.kit.inventory.records import Holder, Snapshot
from ktrans.kit.retry import Retry, interruptible_sleep, may_pass, with_retries
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans_gcp.errors import google_errors
from ktrans_gcp.google_auth import GoogleConfig, credentials

ENDPOINT = "https://compute.googleapis.com"
LISTED = ("instances", "forwardingRules", "addresses")
_ACCESS = "grant roles/compute.viewer on the project to these credentials"
_MISSING = "check the project's id, and whether the Compute Engine API is enabled in it"
_CALL_SECS = (10.0, 60.0)
_OK = 200
_IPV6_PREFIX = 96


class Interface(Holder, frozen=True, kw_only=True):
    """A network interface of an instance, a forwarding rule, or a reserved address.

    Attributes:
        kind: "instance", "forwarding_rule" or "address".
        name: the name of the instance, the rule or the address.
        instance_id: the number of the instance.
        project, region, zone: where it is.
        network, subnetwork: their names.
        machine_type: such as `e2-small`.
        service_account: the first one of the instance.
        network_tags: sorted; `tags` are the labels.
    """

    kind: str = "instance"
    name: str | None = None
    instance_id: str | None = None
    project: str | None = None
    region: str | None = None
    zone: str | None = None
    network: str | None = None
    subnetwork: str | None = None
    machine_type: str | None = None
    service_account: str | None = None
    network_tags: tuple[str, ...] = ()


def interfaces(resources: Iterable[Any]) -> list[Interface]:
    """Return the holders that resources of the Compute Engine API describe.

    A reserved address that an instance or a rule uses is theirs. Rules that share an address are one.
    """
    found: list[Interface] = []
    rules: dict[tuple[str | None, ...], Interface] = {}
    for one in resources:
        if not isinstance(one, dict):
            continue
        if nics := _first(one, "networkInterfaces", "networkInterface"):
            found += [_of_instance(one, nic, at) for at, nic in enumerate(nics)]
        elif "IPAddress" in one or "ipAddress" in one:
            rule = _of_rule(one)
            key = (*rule.addresses, rule.project, rule.network)
            known = rules.get(key)
            names = sorted({str(rule.name), *([str(known.name)] if known else [])})
            rules[key] = msgspec.structs.replace(known or rule, name=",".join(names))
        elif "address" in one and not _is_used(one):
            found.append(_of_address(one))
    return sorted([*found, *rules.values()], key=lambda holder: holder.id)


def exported(data: bytes) -> list[Interface] | None:
    """Return the holders in an export: a list of resources or assets, as an array or JSON lines.

    Returns:
        None for anything else, such as a snapshot of ours.
    """
    if not data.strip():
        return None
    try:
        document = msgspec.json.decode(data)
    except UNREADABLE_JSON:
        document = msgspec.json.Decoder().decode_lines(data)
    if isinstance(document, dict):
        if "taken" in document:
            return None
        document = list(_listed(document)) or [document]
    if not isinstance(document, list):
        return None
    found = interfaces(_resource(one) for one in document)
    return found or (None if document else [])


READER = SnapshotReader(
    Interface, exported, "write one with: python -m ktrans_gcp.snapshot FILE --project PROJECT"
)


def take(
    config: GoogleConfig, projects: Sequence[str], context: Context | None = None
) -> Snapshot[Interface]:
    """Read all holders of some projects from the Compute Engine API, page by page.

    Raises:
        AccessError, RetryableError, ConfigError: as `google_errors` makes them.
    """
    taken = datetime.now(UTC).replace(microsecond=0)
    context = context or Context()
    with google_errors("Compute Engine", missing=_MISSING, access=_ACCESS):
        from google.auth.transport.requests import AuthorizedSession

        session = AuthorizedSession(credentials(config, context))
    with session:
        base = (config.endpoint or ENDPOINT).rstrip("/")
        resources = (
            one
            for project in projects
            for what in LISTED
            for page in _pages(
                session, f"{base}/compute/v1/projects/{project}/aggregated/{what}", context
            )
            for one in _listed(page)
        )
        return Snapshot(taken, interfaces(resources))


def _pages(session: Any, url: str, context: Context) -> Iterator[dict[str, Any]]:
    parameters = {"maxResults": "500"}
    sleep = interruptible_sleep(context.stopping, context.clock)
    while True:
        page = with_retries(
            lambda: _get(session, url, parameters),
            Retry(),
            retry_if=lambda error: may_pass(error) and not context.stopping(),
            sleep=sleep,
            health=context.health,
        )
        yield page
        if not page.get("nextPageToken"):
            return
        parameters["pageToken"] = page["nextPageToken"]


def _get(session: Any, url: str, parameters: dict[str, str]) -> dict[str, Any]:
    from google.api_core import exceptions

    project = url.split("/projects/", 1)[1].split("/", 1)[0]
    with google_errors(f"project {project}", missing=_MISSING, access=_ACCESS):
        response = session.get(url, params=parameters, timeout=_CALL_SECS)
        if response.status_code != _OK:
            raise exceptions.from_http_response(response)
        page: dict[str, Any] = response.json()
        return page


def _listed(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the resources of a list; an aggregated one has them by zone and region."""
    items = page.get("items")
    if isinstance(items, list):
        yield from items
    elif isinstance(items, dict):
        for scope in items.values():
            for what, some in scope.items():
                if what != "warning":
                    yield from some


def _resource(one: Any) -> Any:
    """Return the resource of an asset, or the resource itself."""
    if isinstance(one, dict) and isinstance(one.get("resource"), dict):
        return one["resource"].get("data")
    return one


def _of_instance(one: dict[str, Any], nic: dict[str, Any], at: int) -> Interface:
    accounts = _first(one, "serviceAccounts", "serviceAccount") or [{}]
    path = _path(one)
    number = one.get("id")
    return Interface(
        id=f"{path}/{nic.get('name') or f'nic{at}'}",
        addresses=tuple(dict.fromkeys(_addresses(nic))),
        kind="instance",
        name=one.get("name"),
        instance_id=None if number is None else str(number),
        project=_part(path, "projects"),
        region=_region(one),
        zone=_last(one.get("zone")),
        network=_last(nic.get("network")),
        subnetwork=_last(nic.get("subnetwork")),
        machine_type=_last(one.get("machineType")),
        service_account=accounts[0].get("email"),
        network_tags=tuple(sorted((one.get("tags") or {}).get("items") or ())),
        tags=one.get("labels") or {},
    )


def _addresses(nic: dict[str, Any]) -> Iterator[str]:
    """Yield the addresses of an interface; instances get ranges of IPv6, and alias ranges of IPv4."""
    if address := _first(nic, "networkIP", "ipAddress"):
        yield address
    for access in _first(nic, "accessConfigs", "accessConfig") or ():
        if address := _first(access, "natIP", "externalIp"):
            yield address
    if nic.get("ipv6Address"):
        yield f"{nic['ipv6Address']}/{nic.get('internalIpv6PrefixLength') or _IPV6_PREFIX}"
    for access in nic.get("ipv6AccessConfigs") or ():
        if access.get("externalIpv6"):
            yield f"{access['externalIpv6']}/{access.get('externalIpv6PrefixLength') or _IPV6_PREFIX}"
    for alias in nic.get("aliasIpRanges") or ():
        if alias.get("ipCidrRange"):
            yield alias["ipCidrRange"]


def _of_rule(one: dict[str, Any]) -> Interface:
    return _no_instance("forwarding_rule", one, _first(one, "IPAddress", "ipAddress"))


def _of_address(one: dict[str, Any]) -> Interface:
    length = one.get("prefixLength")
    return _no_instance("address", one, f"{one['address']}/{length}" if length else one["address"])


def _no_instance(kind: str, one: dict[str, Any], address: Any) -> Interface:
    path = _path(one)
    return Interface(
        id=path,
        addresses=(str(address),) if address else (),
        kind=kind,
        name=one.get("name"),
        project=_part(path, "projects"),
        region=_region(one),
        network=_last(one.get("network")),
        subnetwork=_last(one.get("subnetwork")),
        tags=one.get("labels") or {},
    )


def _is_used(one: dict[str, Any]) -> bool:
    users = one.get("users") or ()
    return any("/instances/" in user or "orwardingRules/" in user for user in users)


def _path(one: dict[str, Any]) -> str:
    """Return `projects/...` of a resource."""
    link = str(one.get("selfLink") or one.get("name") or "")
    return f"projects/{link.partition('/projects/')[2]}" if "/projects/" in link else link


def _region(one: dict[str, Any]) -> str | None:
    zone = _last(one.get("zone"))
    return zone.rpartition("-")[0] if zone else _last(one.get("region"))


def _part(path: str, name: str) -> str | None:
    parts = path.split("/")
    return parts[parts.index(name) + 1] if name in parts[:-1] else None


def _last(link: Any) -> str | None:
    return str(link).rpartition("/")[2] or None if link else None


def _first(one: dict[str, Any], *names: str) -> Any:
    return next((one[name] for name in names if one.get(name)), None)
