"""Reports of Delta Lake and Iceberg tables: the figures are those of the rows that the table has."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

PIPELINE = """
name: p
source: {type: generate, log: aws_vpc_v5, rows: 3000, rows_per_object: 1000}
decoder: {type: auto}
sinks:
  - {id: plain, type: file, path: plain/}
  - {id: delta, type: file, path: "delta/account_id={account_id}/", table: {type: delta}}
  - id: iceberg
    type: file
    path: "iceberg/date={start_time:%Y-%m-%d}/"
    table: {type: iceberg, table: lake.flows, catalog: sql, uri: "sqlite:///catalog.db"}
"""
ICEBERG = ("--iceberg", "lake.flows", "--catalog", "sqlite:///catalog.db")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a run that wrote the same rows as plain files and as both tables."""
    from ktrans.cli.failures import guarded
    from ktrans.cli.root import cli

    folder = tmp_path_factory.mktemp("tables")
    (folder / "p.yaml").write_text(PIPELINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert guarded(cli, ["run", "p.yaml", "--quiet"]) == 0
    return folder


@pytest.fixture
def tables(written, tmp_path, monkeypatch):
    """The same in a folder that is the test's own to change; the Iceberg table stays where it was."""
    shutil.copytree(written, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def report(capsys):
    """The numbers of a report."""
    from ktrans.cli.failures import guarded
    from ktrans.cli.root import cli

    def read(*arguments):
        assert guarded(cli, ["report", "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return read


@pytest.mark.parametrize("place", [("delta",), ICEBERG])
def test_a_table_has_the_figures_of_its_rows_as_plain_files(tables, report, place):
    plain = report("plain")
    assert plain["summary"]["rows"] == 3000
    told = report(*place)
    for one in (told, plain):  # the files differ, their rows do not
        assert one["summary"].pop("files") > 0
        assert one["summary"].pop("file_bytes") > 0
    assert (told["summary"], told["sections"]) == (plain["summary"], plain["sections"])


@pytest.mark.parametrize(
    ("folder", "place"), [("delta", ("delta",)), ("iceberg", ICEBERG)], ids=["delta", "iceberg"]
)
def test_files_that_were_never_committed_do_not_count(written, monkeypatch, report, folder, place):
    monkeypatch.chdir(written)
    file = next((written / folder).rglob("*.parquet"))
    stray = file.with_name("stray.parquet")
    shutil.copy(file, stray)
    try:
        assert report(*place)["summary"]["rows"] == 3000
    finally:
        stray.unlink()


def test_rows_that_were_removed_from_a_table_do_not_count(tables, report):
    from deltalake import DeltaTable

    table = DeltaTable("delta")
    account = table.partitions()[0]["account_id"]
    table.delete(f"account_id = '{account}'")
    assert len(list((tables / "delta").rglob("*.parquet"))) > len(table.file_uris())
    told = report("delta")
    assert 0 < told["summary"]["rows"] < 3000
    assert told["summary"]["accounts"] == 1


def test_a_metadata_file_of_iceberg_is_a_place(written, monkeypatch, report):
    monkeypatch.chdir(written)
    newest = max((written / "iceberg/metadata").glob("*.metadata.json"))
    assert report(str(newest))["summary"]["rows"] == 3000
    assert report(f"file://{newest}")["summary"]["rows"] == 3000


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("iceberg",), "part_of_table", "--iceberg NAMESPACE.TABLE"),
        (("iceberg/",), "part_of_table", "iceberg/ is an Iceberg table"),
        ((".",), "part_of_table", "ktrans report ./delta"),
        (("delta", "plain"), "several_lakes", "delta is a table"),
        (("--iceberg", "lake.other", *ICEBERG[2:]), "no_lake", "lake.other"),
        (("plain", *ICEBERG), "usage", "instead of a PLACE"),
        (("plain", "--catalog", "x"), "usage", "--catalog is for --iceberg"),
        (("--iceberg", "a.b", "--catalog", "sqlite:///other.db"), "no_lake", "no catalogue"),
        (("--iceberg", "a.b", "--catalog", "http://127.0.0.1:9/"), "unavailable", "a.b"),
    ],
)
def test_what_cannot_be_read_is_said(tables, capsys, arguments, code, words):
    from ktrans.cli.failures import guarded
    from ktrans.cli.root import cli

    assert guarded(cli, ["report", *arguments]) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert f"error[{code}]" in told
    assert words in told
    assert not (tables / "other.db").exists()


@pytest.mark.parametrize(
    ("module", "place"), [("deltalake", ("delta",)), ("pyiceberg", ICEBERG)], ids=["d", "i"]
)
def test_a_library_that_is_missing_is_named_with_its_plugin(
    tables, capsys, monkeypatch, module, place
):
    from ktrans.cli.failures import guarded
    from ktrans.cli.root import cli

    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert guarded(cli, ["report", *place]) == 78
    told = capsys.readouterr().err
    assert "error[table_library]" in told
    assert "pip install 'ktrans[lake]'" in told


@pytest.mark.service("s3")
def test_a_delta_table_in_s3(tables, monkeypatch, s3_server, report):
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    client = s3_server.client("s3")
    client.create_bucket(Bucket="report-delta")
    for file in (tables / "delta").rglob("*.*"):
        key = f"flows/{file.relative_to(tables / 'delta').as_posix()}"
        client.put_object(Bucket="report-delta", Key=key, Body=file.read_bytes())
    told = report("s3://report-delta/flows/", "--endpoint", s3_server.url)
    assert told["summary"]["bytes_as_logged"] == report("plain")["summary"]["bytes_as_logged"]
