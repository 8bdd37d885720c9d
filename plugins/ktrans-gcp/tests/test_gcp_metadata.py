"""gcp_metadata: from the Compute Engine API, snapshots, and exports of gcloud and Asset Inventory."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest
from ktrans_gcp.compute_inventory import READER
from pydantic import ValidationError

from ktrans.api import AccessError, ConfigError, Context
from ktrans.flow.schema import TEXT
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts import EnricherContract

COMPUTE = "https://www.googleapis.com/compute/v1/projects"
NETWORK = f"{COMPUTE}/shop/global/networks"
SUBNET = f"{COMPUTE}/shop/regions/europe-west3/subnetworks"
WEB = {
    "kind": "compute#instance",
    "id": "1296427382746237",
    "name": "web-1",
    "zone": f"{COMPUTE}/shop/zones/europe-west3-a",
    "selfLink": f"{COMPUTE}/shop/zones/europe-west3-a/instances/web-1",
    "machineType": f"{COMPUTE}/shop/zones/europe-west3-a/machineTypes/e2-small",
    "status": "RUNNING",
    "labels": {"team": "shop"},
    "tags": {"items": ["web", "http-server"], "fingerprint": "42WmSpB8rSM="},
    "serviceAccounts": [{"email": "web@shop.iam.gserviceaccount.com", "scopes": []}],
    "networkInterfaces": [
        {
            "kind": "compute#networkInterface",
            "name": "nic0",
            "network": f"{NETWORK}/prod",
            "subnetwork": f"{SUBNET}/apps",
            "networkIP": "10.1.0.5",
            "stackType": "IPV4_IPV6",
            "ipv6AccessConfigs": [
                {"externalIpv6": "2600:1900:4000:1:0:0:0:0", "externalIpv6PrefixLength": 96}
            ],
            "accessConfigs": [
                {"type": "ONE_TO_ONE_NAT", "name": "External NAT", "natIP": "203.0.113.7"}
            ],
            "aliasIpRanges": [{"ipCidrRange": "10.8.0.0/24", "subnetworkRangeName": "pods"}],
        },
        {"name": "nic1", "network": f"{NETWORK}/admin", "networkIP": "10.9.0.5"},
    ],
}
DATABASE = {
    **WEB,
    "id": "77",
    "name": "db-1",
    "selfLink": f"{COMPUTE}/shop/zones/europe-west3-b/instances/db-1",
    "zone": f"{COMPUTE}/shop/zones/europe-west3-b",
    "labels": {},
    "networkInterfaces": [{"name": "nic0", "network": f"{NETWORK}/test", "networkIP": "10.1.0.5"}],
}
RULES = [
    {
        "kind": "compute#forwardingRule", "name": name, "IPAddress": "10.1.0.99",
        "selfLink": f"{COMPUTE}/shop/regions/europe-west3/forwardingRules/{name}",
        "region": f"{COMPUTE}/shop/regions/europe-west3", "network": f"{NETWORK}/prod",
    }
    for name in ("front-https", "front-http")
]  # fmt: skip
ADDRESSES = [
    {
        "kind": "compute#address", "name": name, "address": address, "status": "IN_USE",
        "selfLink": f"{COMPUTE}/shop/regions/europe-west3/addresses/{name}",
        "region": f"{COMPUTE}/shop/regions/europe-west3", "users": [f"{COMPUTE}/shop/{user}"],
    }
    for name, address, user in [
        ("web-ip", "203.0.113.7", "zones/europe-west3-a/instances/web-1"),
        ("nat-ip", "203.0.113.8", "regions/europe-west3/routers/nat"),
        ("front-ip", "10.1.0.99", "regions/europe-west3/forwardingRules/front-http"),
    ]
]  # fmt: skip
KINDS = {"instances": [WEB, DATABASE], "forwardingRules": RULES, "addresses": ADDRESSES}
ASKED = [
    "10.1.0.5",
    "203.0.113.7",
    "10.8.0.77",
    "2600:1900:4000:1::9",
    "10.1.0.99",
    "203.0.113.8",
    "8.8.8.8",
]
NAMES = ["web-1", "web-1", "web-1", "web-1", "front-http,front-https", "nat-ip", None]


class Compute(ThreadingHTTPServer):
    """Lists resources as the Compute Engine API does, one a page; fails `failures` times first."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        *_, project, aggregated, what = parts.path.split("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.server.failures:
            return self.answer(self.server.failures.pop(0), {"error": {"message": "no", "code": 0}})
        if (project, aggregated) != ("shop", "aggregated") or "maxResults" not in query:
            return self.answer(404, {"error": {"message": f"project {project}", "code": 404}})
        at = int(query.get("pageToken", 0))
        page = {
            "kind": f"compute#{what.removesuffix('s')}AggregatedList",
            "items": {
                "zones/europe-west3-a": {what: KINDS[what][at : at + 1]},
                "zones/us-east1-b": {"warning": {"code": "NO_RESULTS_ON_PAGE"}},
            },
        }
        if at + 1 < len(KINDS[what]):
            page["nextPageToken"] = str(at + 1)
        return self.answer(200, page)

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def compute():
    with Compute() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def flows(addresses, networks=None):
    empty = [None] * len(addresses)
    columns = {
        "src_addr": addresses,
        "dst_addr": empty,
        "src_vpc": networks or ["prod"] * len(empty),
    }
    return pa.record_batch({name: pa.array(values, TEXT) for name, values in columns.items()})


def enrich(batch, folder, **options):
    catalogue = Catalogue()
    config = catalogue.config("enricher", {"type": "gcp_metadata", **options})
    with catalogue.build("enricher", config, Context(base_dir=folder)) as made:
        schema = made.bind(batch.schema)
        result = made.apply(batch)
    assert result.schema.equals(schema)
    result.validate(full=True)
    return result.to_pydict()


def test_the_api_is_asked_page_by_page_and_a_snapshot_says_the_same(compute, tmp_path):
    options = {
        "columns": ["name", "kind", "zone", "machine_type", "network_tags", "service_account"]
    }
    options["tags"] = ["team"]
    asked = enrich(flows(ASKED), tmp_path, projects=["shop"], endpoint=compute.url, **options)
    assert asked["src_name"] == NAMES
    assert asked["src_kind"][3:] == ["instance", "forwarding_rule", "address", None]
    assert asked["src_zone"][0] == "europe-west3-a"
    assert asked["src_machine_type"][0] == "e2-small"
    assert asked["src_network_tags"][0] == "http-server,web"
    assert asked["src_service_account"][0] == "web@shop.iam.gserviceaccount.com"
    assert asked["src_tag_team"] == ["shop"] * 4 + [None] * 3
    for target in ("now.json", "then/"):
        command = [sys.executable, "-m", "ktrans_gcp.snapshot", f"{tmp_path}/{target}"]
        command += ["--project", "shop", "--endpoint", compute.url]
        subprocess.run(command, check=True, timeout=120)
    assert enrich(flows(ASKED), tmp_path, snapshot="now.json", **options) == asked
    (written,) = (tmp_path / "then").iterdir()
    assert READER.read(written).interfaces == READER.read(tmp_path / "now.json").interfaces


def test_an_address_of_two_networks_is_that_of_the_rows_network(tmp_path):
    (tmp_path / "i.json").write_text(json.dumps([WEB, DATABASE]))
    batch = flows(["10.1.0.5"] * 3, ["test", "prod", "other"])
    got = enrich(batch, tmp_path, snapshot="i.json", columns=["name", "region", "project"])
    assert got["src_name"] == ["db-1", "web-1", None]
    assert got["src_region"] == ["europe-west3", "europe-west3", None]
    assert got["src_project"] == ["shop", "shop", None]


def test_an_address_in_a_range_of_another_network_is_that_of_the_rows_network(tmp_path):
    def machine(name, network, address, *ranges):
        alias = [{"ipCidrRange": one} for one in ranges]
        nic = {"network": f"{NETWORK}/{network}", "networkIP": address, "aliasIpRanges": alias}
        return {"id": name, "name": name, "networkInterfaces": [nic]}

    machines = [
        machine("node", "prod", "10.0.0.1", "10.4.1.0/24"),
        machine("pool", "prod", "10.0.0.2", "10.4.0.0/16"),
        machine("old", "test", "10.0.0.3", "10.4.0.0/16"),
        machine("lab", "test", "10.4.1.7"),
    ]
    (tmp_path / "x.json").write_text(json.dumps(machines))
    asked = {
        ("10.4.1.7", "prod"): "node",
        ("10.4.1.7", "test"): "lab",
        ("10.4.1.7", "else"): None,
        ("10.4.1.8", "prod"): "node",
        ("10.4.1.8", "test"): "old",
        ("10.4.9.9", "prod"): "pool",
        ("10.4.9.9", "test"): "old",
        ("10.0.0.1", "test"): "node",
    }
    batch = flows(*map(list, zip(*asked, strict=True)))
    got = enrich(batch, tmp_path, snapshot="x.json", columns=["name"])
    assert got["src_name"] == list(asked.values())


def assets(snake):
    kind, data = ("asset_type", "resource") if snake else ("assetType", "resource")
    for one in (*KINDS["instances"], *RULES, *ADDRESSES):
        name = one["selfLink"].replace(
            "https://www.googleapis.com/compute/v1", "//compute.googleapis.com"
        )
        yield {
            "name": name, kind: "compute.googleapis.com/Instance",
            data: {"version": "v1", "parent": "//cloudresourcemanager.googleapis.com/projects/1", "data": one},
            "ancestors": ["projects/1"], "update_time": "2026-11-05T12:00:00Z",
        }  # fmt: skip


EXPORTS = {
    "asset_export.jsonl": "".join(json.dumps(one) + "\n" for one in assets(snake=True)),
    "asset_list.json": json.dumps(list(assets(snake=False))),
    "aggregated.json": json.dumps(
        {"items": {"zones/x": KINDS, "zones/y": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}}
    ),
    "gcloud.json": json.dumps([WEB, DATABASE, *RULES, *ADDRESSES]),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_are_snapshots_too(tmp_path, name):
    (tmp_path / name).write_text(EXPORTS[name])
    os.utime(tmp_path / name, (1_790_000_000, 1_790_000_000))
    got = enrich(flows(ASKED), tmp_path, snapshot=name, columns=["name"], time_column="as_of")
    assert got["src_name"] == NAMES
    assert got["as_of"][0].timestamp() == 1_790_000_000


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[1]", '[{"name": "no address"}]', '{"items": 3}'),
        '[{"networkInterfaces": "x"}]',
        '[{"networkInterfaces": [{"networkIP": 5}]}]',
        '[{"address": "10.0.0.1", "name": 5}]',
        '[{"address": "10.0.0.1", "labels": 5}]',
        '[{"networkInterfaces": [{"networkIP": "10.0.0.1"}], "serviceAccounts": {"a": 1}}]',
    ],
)
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match="not a snapshot") as refused:
        enrich(flows(ASKED), tmp_path, snapshot="x.json")
    assert "ktrans_gcp.snapshot" in refused.value.hint


def test_a_label_without_a_value_is_null(tmp_path):
    (tmp_path / "x.json").write_text('[{"address": "10.0.0.1", "labels": {"team": null}}]')
    asked = flows(ASKED)
    got = enrich(asked, tmp_path, snapshot="x.json", columns=["kind"], tags=["team"])
    assert set(got["src_tag_team"]) == {None}


def test_errors_of_the_api(compute, tmp_path):
    compute.failures = [503, 429]
    options = {"endpoint": compute.url, "projects": ["shop"]}
    assert enrich(flows(ASKED), tmp_path, **options)["src_name"] == NAMES
    compute.failures = [403]
    with pytest.raises(AccessError) as refused:
        enrich(flows(ASKED), tmp_path, **options)
    assert "roles/compute.viewer" in refused.value.hint
    with pytest.raises(ConfigError, match="project nope"):
        enrich(flows(ASKED), tmp_path, endpoint=compute.url, projects=["nope"])
    with pytest.raises((ConfigError, ValidationError), match="snapshot"):
        enrich(flows(ASKED), tmp_path)


class TestGcpMetadata(EnricherContract):
    covers = ("gcp_metadata",)

    def make(self, context):
        (context.base_dir / "i.json").write_text(json.dumps([WEB, DATABASE]))
        catalogue = Catalogue()
        raw = {"type": "gcp_metadata", "snapshot": "i.json", "tags": ["team"]}
        return catalogue.build("enricher", catalogue.config("enricher", raw), context)
