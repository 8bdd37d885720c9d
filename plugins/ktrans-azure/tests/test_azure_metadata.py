"""azure_metadata: from Azure Resource Graph, snapshots, and what `az` prints."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest
from ktrans_azure.network_inventory import READER

from ktrans.api import AccessError, ConfigError, Context
from ktrans.flow.schema import TEXT
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts import EnricherContract

GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/shop"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
VNET = f"{NETWORK}/virtualNetworks/web-vnet"
NIC = {
    "id": f"{NETWORK}/networkInterfaces/web-nic",
    "name": "web-nic",
    "type": "microsoft.network/networkinterfaces",
    "location": "westeurope",
    "zones": None,
    "tags": {"team": "shop"},
    "properties": {
        "macAddress": "00-22-48-AA-BB-0C",
        "virtualMachine": {"id": f"{GROUP}/providers/Microsoft.Compute/virtualMachines/WEB"},
        "networkSecurityGroup": {"id": f"{NETWORK}/networkSecurityGroups/web-nsg"},
        "ipConfigurations": [
            {
                "name": "ipconfig1",
                "properties": {
                    "privateIPAddress": "10.0.0.4",
                    "privateIPAddressVersion": "IPv4",
                    "publicIPAddress": {"id": f"{NETWORK}/publicIPAddresses/web-ip"},
                    "subnet": {"id": f"{VNET}/subnets/front"},
                },
            },
            {
                "name": "ipconfig2",
                "properties": {
                    "privateIPAddress": "fd00:db8::4",
                    "subnet": {"id": f"{VNET}/subnets/front"},
                },
            },
        ],
    },
}
VM = {
    "id": f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web",
    "name": "web",
    "type": "microsoft.compute/virtualmachines",
    "location": "westeurope",
    "zones": ["2"],
    "tags": {"env": "prod"},
    "properties": {"hardwareProfile": {"vmSize": "Standard_B2s"}},
}
PUBLIC = [
    {
        "id": f"{NETWORK}/publicIPAddresses/{name}", "name": name, "location": "westeurope",
        "type": "microsoft.network/publicipaddresses", "properties": {"ipAddress": address},
    }
    for name, address in [("web-ip", "20.1.2.3"), ("lb-ip", "20.1.2.4"), ("nat-ip", "20.1.2.5")]
]  # fmt: skip
PUBLIC[1]["properties"]["ipConfiguration"] = {
    "id": f"{NETWORK}/loadBalancers/lb/frontendIPConfigurations/f"
}
BALANCER = {
    "id": f"{NETWORK}/loadBalancers/lb",
    "name": "lb",
    "type": "microsoft.network/loadbalancers",
    "location": "westeurope",
    "properties": {
        "frontendIPConfigurations": [
            {
                "name": "f",
                "properties": {"publicIPAddress": {"id": f"{NETWORK}/publicIPAddresses/LB-ip"}},
            }
        ]
    },
}
OTHER = {
    **NIC,
    "id": f"{NETWORK}/networkInterfaces/other",
    "name": "other",
    "properties": {
        "macAddress": None,
        "ipConfigurations": [
            {"properties": {
                "privateIPAddress": "10.0.0.4",
                "subnet": {"id": f"{NETWORK}/virtualNetworks/other-vnet/subnets/s"},
            }}
        ],
    },
}  # fmt: skip
RESOURCES = [NIC, VM, *PUBLIC, BALANCER, OTHER]
ASKED = ["10.0.0.4", "FD00:db8:0::4", "20.1.2.3", "20.1.2.4", "20.1.2.5", "8.8.8.8"]
NAMES = ["web", "web", "web", "lb", "nat-ip", None]


class Graph(ThreadingHTTPServer):
    """Answers queries as Azure Resource Graph does, two rows a page; fails `failures` times first."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures = []
        self.bodies = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.failures:
            status = self.server.failures.pop(0)
            return self.answer(status, {"error": {"code": "RateLimiting", "message": "no"}})
        assert self.path == "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
        self.server.bodies.append(body)
        at = int(body["options"].get("$skipToken", 0))
        rows = RESOURCES[at : at + 2]
        page = {"totalRecords": len(RESOURCES), "count": len(rows), "data": rows, "facets": []}
        if at + 2 < len(RESOURCES):
            page["$skipToken"] = str(at + 2)
        return self.answer(200, page)

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def graph():
    with Graph() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def flows(addresses, networks=None, macs=None):
    empty = [None] * len(addresses)
    columns = {
        "src_addr": addresses, "dst_addr": empty, "interface_id": macs or empty,
        "vpc_id": networks or ["web-vnet"] * len(empty),
    }  # fmt: skip
    return pa.record_batch({name: pa.array(values, TEXT) for name, values in columns.items()})


def enrich(batch, folder, **options):
    catalogue = Catalogue()
    config = catalogue.config("enricher", {"type": "azure_metadata", **options})
    with catalogue.build("enricher", config, Context(base_dir=folder)) as made:
        schema = made.bind(batch.schema)
        result = made.apply(batch)
    assert result.schema.equals(schema)
    result.validate(full=True)
    return result.to_pydict()


COLUMNS = [
    "name",
    "kind",
    "resource",
    "vm_size",
    "resource_group",
    "zone",
    "vnet",
    "subnet",
    "security_group",
]


def test_resource_graph_is_asked_page_by_page_and_a_snapshot_says_the_same(graph, tmp_path):
    options = {"columns": COLUMNS, "tags": ["team", "env"]}
    asked = enrich(flows(ASKED), tmp_path, endpoint=graph.url, subscriptions=["1"], **options)
    assert graph.bodies[0]["subscriptions"] == ["1"]
    assert "microsoft.network/networkinterfaces" in graph.bodies[0]["query"]
    assert asked["src_name"] == NAMES
    assert [asked[f"src_{column}"][0] for column in COLUMNS[1:]] == [
        "networkinterfaces", "web-nic", "Standard_B2s", "shop", "2", "web-vnet", "front", "web-nsg",
    ]  # fmt: skip
    assert asked["src_kind"][3:5] == ["loadbalancers", "publicipaddresses"]
    assert (asked["src_tag_team"][0], asked["src_tag_env"][0]) == ("shop", "prod")
    command = [sys.executable, "-m", "ktrans_azure.snapshot", str(tmp_path / "now.json")]
    subprocess.run([*command, "--endpoint", graph.url], check=True, timeout=120)
    assert "subscriptions" not in graph.bodies[-1]
    assert enrich(flows(ASKED), tmp_path, snapshot="now.json", **options) == asked
    assert READER.read(tmp_path / "now.json").taken.tzinfo is not None


def flat(one):
    """Return a resource as `az` prints it: without the level `properties`, and some names in its own case."""
    rest = {key: value for key, value in one.items() if key not in ("properties", "type")}
    text = json.dumps(rest | {key: strip(value) for key, value in one["properties"].items()})
    return json.loads(
        text.replace("privateIPAddress", "privateIpAddress").replace(
            '"publicIPAddress"', '"publicIpAddress"'
        )
    )


def strip(value):
    if isinstance(value, list):
        return [{**one, **one.get("properties", {})} | {"properties": None} for one in value]
    return value


OUTPUTS = {
    "graph.json": json.dumps({"count": 7, "data": RESOURCES, "skip_token": None, "total_records": 7}),
    "lists.json": "\n".join(
        json.dumps([flat(one) for one in some], indent=2) for some in ([NIC, OTHER], [VM], PUBLIC, [BALANCER])
    ),
    "rest.json": json.dumps({"value": RESOURCES}),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_az_prints_is_a_snapshot_too(tmp_path, name):
    (tmp_path / name).write_text(OUTPUTS[name])
    got = enrich(flows(ASKED), tmp_path, snapshot=name, columns=COLUMNS)
    assert got["src_name"] == NAMES
    assert got["src_subnet"][:2] == ["front", "front"]
    assert got["src_vm_size"][0] == "Standard_B2s"


def test_interfaces_are_known_by_their_mac_address_and_equal_addresses_by_their_network(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(RESOURCES))
    batch = flows(
        ["10.0.0.4"] * 3,
        ["other-vnet", "web-vnet", None],
        ["002248AABB0C", "00-22-48-aa-bb-0c", "0"],
    )
    got = enrich(batch, tmp_path, snapshot="r.json", columns=["resource"])
    assert got["interface_resource"] == ["web-nic", "web-nic", None]
    assert got["src_resource"] == ["other", "web-nic", None]


def test_each_row_is_looked_up_in_the_file_of_its_time(tmp_path):
    (tmp_path / "az").mkdir()
    (tmp_path / "az" / "2026-11-05.json").write_text(json.dumps([NIC, VM]))
    (tmp_path / "az" / "2026-11-06.json").write_text(json.dumps([OTHER]))
    batch = flows(["10.0.0.4"] * 2, [None, None]).append_column(
        "start_time", pa.array([1793966400000000, 1793836800000000], pa.timestamp("us", tz="UTC"))
    )
    got = enrich(batch, tmp_path, snapshot="az", columns=["resource"])
    assert got["src_resource"] == ["other", "web-nic"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[1]", '[{"id": "no address"}]', '{"data": 3}', "null", '"x"'),
        *("WARNING: az is old\n[]", json.dumps([NIC, VM])[:-9], json.dumps([NIC]) + "]"),
    ],
)
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match="not a snapshot") as refused:
        enrich(flows(ASKED), tmp_path, snapshot="x.json")
    assert "ktrans_azure.snapshot" in refused.value.hint


def test_errors_of_resource_graph(graph, tmp_path):
    graph.failures = [429, 503]
    assert enrich(flows(ASKED), tmp_path, endpoint=graph.url)["src_name"] == NAMES
    graph.failures = [403]
    with pytest.raises(AccessError) as refused:
        enrich(flows(ASKED), tmp_path, endpoint=graph.url)
    assert "role Reader" in refused.value.hint


class TestAzureMetadata(EnricherContract):
    covers = ("azure_metadata",)

    def make(self, context):
        (context.base_dir / "r.json").write_text(json.dumps(RESOURCES))
        catalogue = Catalogue()
        raw = {"type": "azure_metadata", "snapshot": "r.json", "tags": ["team"]}
        return catalogue.build("enricher", catalogue.config("enricher", raw), context)
