"""Small lakes that the tests of the report make themselves."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktrans.flow.schema import FLOW_SCHEMA

BEGIN = dt.datetime(2026, 5, 4, 8, tzinfo=dt.UTC)
EXTRA = {
    "sample_weight": pa.int64(),
    "flows": pa.int64(),
    "server_port": pa.int32(),
    "window_start": pa.timestamp("us", tz="UTC"),
    "cost_estimate": pa.float64(),
}


def at(minutes):
    return BEGIN + dt.timedelta(minutes=minutes)


def flow(minutes=0, **columns):
    """A plausible accepted flow from inside to a web server inside, changed as asked."""
    return {
        "start_time": at(minutes),
        "src_addr": "10.0.0.1",
        "dst_addr": "10.0.0.2",
        "src_port": 40000,
        "dst_port": 443,
        "protocol": 6,
        "bytes": 1000,
        "packets": 10,
        "action": "accept",
        "log_status": "OK",
        "account_id": "111122223333",
        "interface_id": "eni-1",
        **columns,
    }


def table(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    fields = [
        FLOW_SCHEMA.field(name)
        if name in FLOW_SCHEMA.names
        else pa.field(name, EXTRA.get(name, pa.string()))
        for name in names
    ]
    return pa.Table.from_pylist(rows, pa.schema(fields))


@pytest.fixture
def lake(tmp_path):
    """Write rows as a lake of one Parquet file; give its folder."""

    def write(rows, name="lake/flows.parquet"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(rows), path)
        return str(tmp_path / name.split("/")[0])

    return write


@pytest.fixture
def numbers(lake):
    """Report on rows, and give the numbers for machines."""
    from ktrans_report.options import Options
    from ktrans_report.report import make

    def report(rows, **options):
        told = make(Options(places=(lake(rows),), **options)).to_json()
        return json.loads(json.dumps(told, default=str))

    return report


@pytest.fixture
def ktrans(capsys, tmp_path, monkeypatch):
    """Run the command line in a folder of its own: exit code, stdout, stderr."""
    from ktrans.cli.failures import guarded
    from ktrans.cli.root import cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = guarded(cli, list(arguments))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run
