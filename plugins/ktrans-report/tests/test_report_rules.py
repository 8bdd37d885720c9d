"""The report counts servers and scopes as the enrichers `services` and `labels` do."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ktrans_report.counting import count
from ktrans_report.lake import open_lake
from ktrans_report.places import find

from ktrans.enrichers.labels import LabelsEnricher, LabelsEnricherConfig
from ktrans.enrichers.services import ServicesEnricher, ServicesEnricherConfig

_spec = importlib.util.spec_from_file_location("made", Path(__file__).with_name("conftest.py"))
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)
flow = made.flow
PORTS = [None, 0, 22, 53, 443, 1023, 3306, 8080, 50000]
ADDRESSES = ["10.0.0.1", "8.8.8.8", "224.0.0.1", "255.255.255.255", "fe80::1", "2606::1", "no"]


def enriched(path):
    batch = pq.read_table(path).combine_chunks().to_batches()[0]
    for enricher in (
        ServicesEnricher(ServicesEnricherConfig()),
        LabelsEnricher(LabelsEnricherConfig()),
    ):
        enricher.bind(batch.schema)
        batch = enricher.apply(batch)
    names = ["us", "server", "server_port", "service", "protocol_name", "flow_scope"]
    rows = batch.to_pylist()
    for number, row in enumerate(rows):
        row["us"] = number
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("protocol", [1, 6, 17, 33, 132, 136, 250])
def test_servers_and_scopes(lake, protocol):
    pairs = list(itertools.product(ADDRESSES, ADDRESSES))
    rows = [
        flow(number, protocol=protocol, src_port=src, dst_port=dst)
        | dict(zip(("src_addr", "dst_addr"), pairs[number % len(pairs)], strict=True))
        for number, (src, dst) in enumerate(itertools.product(PORTS, PORTS))
    ]
    folder = lake(rows)
    with open_lake(find([folder]), start_us=None, end_us=None) as opened:
        count(opened, all_reports=True)
        found = opened.ask("SELECT us, serving, port, service, proto, scope FROM flows ORDER BY us")
    begin = found[0]["us"]
    reported = [tuple(row.values()) for row in found]
    reported = [((us - begin) // 60_000_000, *rest) for us, *rest in reported]
    wanted = enriched(f"{folder}/flows.parquet")
    named = [
        (us, server, port, service, name or f"protocol {protocol}", scope)
        for us, server, port, service, name, scope in wanted
    ]
    assert reported == named
