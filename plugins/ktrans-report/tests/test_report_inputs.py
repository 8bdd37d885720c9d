"""What the report reads: formats, folders, object stores, receipts; and what it says of others."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ktrans_report.options import Options, memory
from ktrans_report.places import find
from ktrans_report.report import make

from ktrans.api import Context, UsageError
from ktrans.enrichers.to_ecs import ToEcsEnricher, ToEcsEnricherConfig
from ktrans.registry.catalogue import Catalogue

_spec = importlib.util.spec_from_file_location("made", Path(__file__).with_name("conftest.py"))
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)
flow = made.flow
ROOT = Path(__file__).parents[3]


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


PIPELINE = """
name: {name}
source: {{type: generate, log: aws_vpc_v5, rows: 3000, rows_per_object: 1000}}
decoder: {{type: auto}}
enrichers: {enrichers}
sinks: [{{id: lake, type: file, path: "{path}", format: {{type: {format}}}{more}}}]
"""


def run(ktrans, folder, **values):
    filled = {"name": "p", "enrichers": "[]", "format": "parquet", "more": "", "path": "lake/"}
    (folder / "p.yaml").write_text(PIPELINE.format(**{**filled, **values}))
    code, _, err = ktrans("run", "p.yaml", "--receipt", "receipt.json")
    assert code == 0, err
    return json.loads((folder / "receipt.json").read_text())["ledger"]["decoded"]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("parquet", ""),
        slow("parquet", ", columns: [start_time, src_addr, dst_addr, bytes, packets, log_status]"),
        slow("jsonl", ""),
        slow("jsonl", ", compression: zstd"),
        slow("csv", ", compression: gzip"),
        slow("csv", ""),
    ],
)
def test_every_format_of_the_file_sink_gives_the_sums_of_the_ledger(ktrans, tmp_path, kind, more):
    ledger = run(ktrans, tmp_path, format=kind, more=more)
    told = make(Options(places=("lake",))).numbers
    assert told["rows"] == ledger["rows"]
    assert told["bytes_as_logged"] == ledger["bytes"]
    assert told["nodata"] + told["skipdata"] == told["rows"] - told["flows"]


@pytest.mark.slow
def test_partitions_in_nested_folders(ktrans, tmp_path):
    path = "lake/{start_time:%Y/%m/%d}/account={account_id}/"
    ledger = run(ktrans, tmp_path, path=path)
    told = make(Options(places=("lake",))).numbers
    assert (told["rows"], told["accounts"]) == (ledger["rows"], 2)


def test_partition_columns_that_only_the_path_has_keep_their_zeros(tmp_path):
    for account in ("000000000001", "000000000002"):
        folder = tmp_path / f"lake/account_id={account}"
        folder.mkdir(parents=True)
        row = flow(src_addr=f"10.0.0.{account[-1]}")
        del row["account_id"]
        pq.write_table(made.table([row]), folder / "a.parquet")
    told = make(Options(places=(str(tmp_path / "lake"),))).to_json()
    names = {row["name"] for row in told["sections"]["talkers"]["accounts"]}
    assert names == {"000000000001", "000000000002"}


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["ocsf", "ecs"])
@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_reshaped_rows(ktrans, tmp_path, shape, kind):
    ledger = run(ktrans, tmp_path, enrichers=f"[{{type: to_{shape}}}]", format=kind)
    told = make(Options(places=("lake",), all_reports=True)).to_json()
    assert told["summary"]["bytes"] == ledger["bytes"]
    assert (told["summary"]["accounts"], told["summary"]["interfaces"]) == (2, 300)
    assert told["summary"]["rejected"] > 0
    assert told["sections"]["services"]["services"][0]["name"].endswith("/443")


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_a_structure_is_not_taken_for_a_column_of_its_name(tmp_path, kind):
    rows = made.table([flow(action="reject", rule="deny-all"), flow(action="reject", rule=None)])
    (batch,) = rows.to_batches()
    ecs = ToEcsEnricher(ToEcsEnricherConfig())
    schema = ecs.bind(batch.schema)
    registry = Catalogue()
    form = registry.build("format", registry.config("format", {"type": kind}), Context())
    form.bind(schema)
    with (tmp_path / f"a.{kind}").open("wb") as stream:
        writer = form.open(stream)
        writer.write(form.encode(ecs.apply(batch)))
        writer.finish()
    told = make(Options(places=(str(tmp_path),))).to_json()["sections"]["rejected"]
    names = {row["name"] for row in told["by_rule"]}
    assert names == {"rule deny-all", "no rule in the log"}


@pytest.mark.parametrize("kind", ["parquet", slow("jsonl"), slow("csv")])
def test_a_rollup_gives_the_same_sums_as_its_rows(ktrans, tmp_path, kind):
    enrichers = (
        "[{type: services}, {type: rollup, window: 1m, flush: at_end,"
        " group_by: [account_id, action, service, server_port, protocol],"
        " aggregates: {bytes: sum, packets: sum, flows: count}}]"
    )
    ledger = run(ktrans, tmp_path, enrichers=enrichers, format=kind)
    report = make(Options(places=("lake",)))
    told = report.numbers
    assert any("totals of a rollup" in note for note in report.notes)
    assert told["bytes"] == ledger["bytes"]
    assert told["packets"] == ledger["packets"]
    assert told["rows"] < told["flows"] <= ledger["rows"]


@pytest.mark.slow
def test_the_shipped_example_as_a_user_would(ktrans, tmp_path):
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    assert ktrans("run", "configs/quickstart.yaml", "--receipt", "r.json")[0] == 0
    code, _, err = ktrans("report", "--receipt", "r.json", "--output", "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text()
    assert "<h1>Flows of quickstart</h1>" in page
    assert "sink lake of quickstart" in page
    assert "The run of quickstart is done." in page
    assert "too_many_fields (rejected)" in page
    assert page.count("<svg") > 20
    assert len(page) < 2_000_000
    code, _, err = ktrans("report", "out/quickstart")
    assert code == 2
    assert "out/quickstart/lake (3 parquet files)" in err
    code, out, _ = ktrans("report", "out/quickstart/rejected-traffic", "--json")
    assert code == 0
    assert json.loads(out)["summary"]["rows"] == 182
    assert not (tmp_path / "ktrans-report.html").exists()


@pytest.mark.slow
def test_a_receipt_of_a_run_that_found_nothing(ktrans, tmp_path):
    run(ktrans, tmp_path)
    assert ktrans("run", "p.yaml", "--receipt", "again.json")[0] == 0
    code, out, err = ktrans("report", "--receipt", "again.json", "-o", "-")
    assert code == 0, err
    assert "found nothing to do" in out


def test_a_receipt_names_its_sinks(ktrans, tmp_path):
    run(ktrans, tmp_path)
    code, _, err = ktrans("report", "--receipt", "receipt.json", "--sink", "nope")
    assert code == 2
    assert "it has: lake" in err
    shutil.rmtree(tmp_path / "lake")
    code, _, err = ktrans("report", "--receipt", "receipt.json")
    assert code == 2
    assert "not there any more" in err


@pytest.mark.parametrize(
    ("content", "code"), [("", 78), ("[]", 78), ('{"version": 1}', 78), ("\x00", 78)]
)
def test_what_is_no_receipt(ktrans, tmp_path, content, code):
    (tmp_path / "r.json").write_text(content)
    found, _, err = ktrans("report", "--receipt", "r.json")
    assert found == code
    assert "error[bad_receipt]" in err
    assert "ktrans run --receipt" in err


def test_places_that_hold_nothing(ktrans, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "lp").mkdir()
    (tmp_path / "lp/a.lp").write_text("x")
    for place, said in (
        ("nowhere", "there is no nowhere"),
        ("empty", "no rows to read in empty"),
        ("lp", "only files 1 .lp"),
    ):
        code, _, err = ktrans("report", place)
        assert code == 2
        assert "error[no_lake]" in err
        assert said in err
        assert "hint:" in err


def test_neither_a_place_nor_a_receipt(ktrans):
    code, _, err = ktrans("report")
    assert code == 2
    assert "ktrans report out/lake/" in err


def test_an_empty_lake_is_a_page_that_says_so(ktrans, lake, tmp_path):
    pq.write_table(made.table([flow()]).slice(0, 0), tmp_path / "a.parquet")
    code, _, err = ktrans("report", "a.parquet")
    assert code == 0, err
    page = (tmp_path / "ktrans-report.html").read_text()
    assert "There are no rows in this period" in page


def test_a_damaged_file_is_named(ktrans, lake, tmp_path):
    folder = Path(lake([flow()]))
    (folder / "bad.parquet").write_bytes(b"PAR1 this is not Parquet PAR1")
    code, _, err = ktrans("report", str(folder))
    assert code == 70
    assert "error[lake_unreadable]" in err
    assert "bad.parquet" in err


def test_rejects_are_no_lake(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"reason":"bad_json","raw":"{","source_uri":"x"}\n')
    with pytest.raises(UsageError) as caught:
        make(Options(places=(str(tmp_path / "r.jsonl"),)))
    assert "rejects list" in caught.value.hint


def test_unfinished_files_are_not_read(lake, tmp_path):
    folder = Path(lake([flow()]))
    (folder / ".ktrans-staging").mkdir()
    (folder / ".ktrans-staging/x.parquet").write_bytes(b"half")
    (folder / "_temporary.parquet").write_bytes(b"half")
    assert make(Options(places=(str(folder),))).numbers["rows"] == 1


def test_two_sinks_below_one_folder_are_not_added_up(lake, tmp_path):
    lake([flow()], "all/a/p.one.abcdef-00000001-0000-00000.parquet")
    lake([flow()], "all/b/p.two.abcdef-00000001-0000-00000.parquet")
    with pytest.raises(UsageError) as caught:
        find([str(tmp_path / "all")])
    assert caught.value.code == "several_lakes"
    # Two pipelines into one lake are one lake, as is one sink's file in any folder.
    lake([flow()], "one/a/p.x.abcdef-00000001-0000-00000.parquet")
    lake([flow()], "one/a/q.y.abcdef-00000001-0000-00000.parquet")
    lake([flow()], "one/z/p.x.abcdef-00000002-0000-00000.parquet")
    assert len(find([str(tmp_path / "one")]).files) == 3


def test_names_with_characters_that_mean_something(lake, tmp_path):
    folder = lake([flow()], "l[a]k*e/it's {odd}?.parquet")
    assert make(Options(places=(folder,))).numbers["rows"] == 1


def test_json_errors_are_json(ktrans):
    code, out, _ = ktrans("report", "nowhere", "--json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "no_lake"


@pytest.mark.slow
def test_too_little_memory_is_told_or_enough(lake):
    rows = [flow(minute, src_addr=f"10.0.{minute}.1") for minute in range(200)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(lake(rows)).parent)
        told = make(Options(places=("lake",), memory=128 << 20))
    assert told.numbers["rows"] == 200


@pytest.mark.service("s3")
@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_a_lake_in_s3(ktrans, tmp_path, monkeypatch, s3_server, kind):
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    ledger = run(ktrans, tmp_path, format=kind, path="lake/account={account_id}/")
    bucket = f"report-{kind}"
    client = s3_server.client("s3")
    client.create_bucket(Bucket=bucket)
    for file in (tmp_path / "lake").rglob("*.*"):
        key = f"flows/{file.relative_to(tmp_path / 'lake').as_posix()}"
        client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
    place = f"s3://{bucket}/flows/"
    code, out, err = ktrans("report", place, "--endpoint", s3_server.url, "--json")
    assert code == 0, err
    assert json.loads(out)["summary"]["bytes_as_logged"] == ledger["bytes"]
    code, _, err = ktrans("report", f"s3://{bucket}/nothing/", "--endpoint", s3_server.url)
    assert code == 2
    assert "error[no_lake]" in err


@pytest.mark.slow
def test_without_the_plugin_the_verb_says_how_to_get_it():
    command = [sys.executable, "-m", "ktrans", "report", "lake/"]
    environ = {**os.environ, "KTRANS_PLUGINS": ""}
    told = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert told.returncode == 2
    assert "pip install ktrans-report" in told.stderr


@pytest.mark.slow
def test_help_does_not_import_what_counts_and_draws():
    code = (
        "import sys\nfrom ktrans.cli.failures import guarded\nfrom ktrans.cli.root import cli\n"
        "guarded(cli, ['report', '--help'])\n"
        "assert not {'duckdb', 'vl_convert', 'pyarrow', 'pydantic', 'jinja2'} & set(sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "Examples:" in told.stdout


def test_a_period_without_length_is_refused(ktrans, lake):
    where = lake([flow()])
    code, _, err = ktrans("report", where, "--from", "2026-05-05", "--to", "2026-05-04")
    assert code == 2
    assert "--from is not before --to" in err


@pytest.mark.parametrize("price", ["nan", "inf"])
def test_a_price_that_is_no_number_is_refused(ktrans, lake, price):
    code, _, err = ktrans("report", lake([flow()]), "--price-internet", price)
    assert code == 2
    assert "is not a price" in err


@pytest.mark.parametrize("text", ["much", "1 MB"])
def test_a_memory_limit_that_is_none_or_too_small_is_an_error(text):
    with pytest.raises(UsageError, match="--memory"):
        memory(text)
    assert memory("2 GB") == 2 * 10**9
