"""The example logs are what their script makes, and hold what their README says."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import ipaddress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


def contents(folder: Path) -> dict[str, object]:
    """Return every file by name: what is in it, since compressors differ between versions."""
    found: dict[str, object] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".parquet":
            found[name] = pq.read_table(path)
        else:
            data = path.read_bytes()
            found[name] = gzip.decompress(data) if path.suffix == ".gz" else data
    return found


@pytest.mark.parametrize(
    ("script", "function", "folder"),
    [("make_example_logs", "main", "aws-logs"), ("make_cloud_logs", "make", "cloud-logs")],
)
def test_the_scripts_make_the_same_records_again(script, function, folder, tmp_path):
    spec = importlib.util.spec_from_file_location(script, EXAMPLES / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    getattr(module, function)(tmp_path)
    assert contents(tmp_path) == contents(EXAMPLES / folder)


def test_they_are_small_and_varied():
    found = contents(EXAMPLES / "aws-logs")
    assert len(found) == 11
    size = sum(p.stat().st_size for p in (EXAMPLES / "aws-logs").rglob("*") if p.is_file())
    assert size < 300_000
    text = b"\n".join(data for data in found.values() if isinstance(data, bytes))
    for sign in (
        b"NODATA",
        b"SKIPDATA",
        b"REJECT",
        b"2001:db8:",
        b"TransitGateway",
        b" 58 ",
        b" 1 ",
    ):
        assert sign in text
    for account in (b"111122223333", b"444455556666"):
        assert account in text


def test_the_networks_hold_every_host():
    with (EXAMPLES / "aws-logs/networks.csv").open() as file:
        rows = list(csv.DictReader(file))
    networks = [ipaddress.ip_network(row["prefix"]) for row in rows]
    assert all(row["name"] and row["owner"] and row["environment"] for row in rows)
    [table] = [t for t in contents(EXAMPLES / "aws-logs").values() if not isinstance(t, bytes)]
    hosts = {
        address
        for pair in zip(
            table["srcaddr"].to_pylist(),
            table["dstaddr"].to_pylist(),
            table["flow_direction"].to_pylist(),
            strict=True,
        )
        for address in [pair[0] if pair[2] == "egress" else pair[1]]
        if address != "-"
    }
    assert len(hosts) > 10
    for host in hosts:
        address = ipaddress.ip_address(host)
        assert any(address in net for net in networks if net.version == address.version)
