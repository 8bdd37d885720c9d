"""Plugins that are single files of a folder."""

import json
import subprocess
import sys

import pytest

from ktrans.api import PluginError
from ktrans.registry.catalogue import Catalogue

PLUGIN = """

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ComponentConfig, Spec, hookimpl
from ktrans.kit.column_enricher import ColumnEnricher


class BitsConfig(ComponentConfig, type="bits"):
    pass


class Bits(ColumnEnricher):
    def reads(self):
        return ["bytes"]

    def columns(self):
        return {"bits": pa.int64()}

    def compute(self, batch):
        return {"bits": pc.multiply(batch["bytes"], 8)}


@hookimpl
def ktrans_components():
    return [
        Spec(
            kind="enricher",
            type="bits",
            build=f"{__name__}:Bits",
            config=f"{__name__}:BitsConfig",
            summary="Bits of a flow",
        )
    ]
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "bits.py").write_text(PLUGIN)
    (folder / "_draft.py").write_text("raise SystemExit")
    (folder / "notes.txt").write_text("not Python")
    return folder


@pytest.mark.slow
def test_a_file_is_a_plugin_and_works_in_a_pipeline(folder, tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: p\n"
        "source: {type: generate, log: aws_vpc_v2, rows: 100}\n"
        "enrichers: [{type: bits}]\n"
        "sinks: [{type: file, path: out/, format: {type: jsonl}, columns: [bytes, bits]}]\n"
    )
    command = [sys.executable, "-m", "ktrans", "--plugins-dir", str(folder), "run"]
    subprocess.run([*command, str(tmp_path / "p.yaml")], check=True, capture_output=True)
    [path] = (tmp_path / "out").glob("*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows
    assert all(row["bits"] == 8 * row["bytes"] for row in rows if "bytes" in row)


def test_a_broken_file_is_named_and_the_others_work(folder):
    (folder / "broken.py").write_text("import no_such_module\n")
    plugins = Catalogue(environ={"KTRANS_PLUGINS_DIR": str(folder)}).plugins()
    found = {plugin.name: plugin for plugin in plugins}
    assert found["bits"].status == "ok"
    assert found["bits"].components == ["enricher:bits"]
    assert found["broken"].status == "broken"
    assert "no_such_module" in found["broken"].error
    assert {"_draft", "notes"}.isdisjoint(found)


def test_lists_of_plugins_that_may_load_hold_for_files_too(folder):
    environ = {"KTRANS_PLUGINS_DIR": str(folder), "KTRANS_DISABLE_PLUGINS": "bits"}
    found = {plugin.name: plugin.status for plugin in Catalogue(environ=environ).plugins()}
    assert found["bits"] == "disabled"


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(PluginError, match="nowhere"):
        Catalogue(environ={"KTRANS_PLUGINS_DIR": str(tmp_path / "nowhere")}).plugins()


@pytest.mark.parametrize("which", ["folder", "file"])
def test_a_folder_that_anybody_may_write_is_refused(tmp_path, which):
    """Whoever writes there has ktrans run any code."""
    file = tmp_path / "p.py"
    file.write_text("raise SystemExit('was run')\n")
    {"folder": tmp_path, "file": file}[which].chmod(0o777)
    with pytest.raises(PluginError, match="any user of this machine may write") as caught:
        Catalogue(environ={"KTRANS_PLUGINS_DIR": str(tmp_path)}).plugins()
    assert caught.value.code == "plugins_unsafe"
    assert "chmod o-w" in caught.value.hint
