"""Runs use the native code and say so, unless it is turned off; its defects never lose a row."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ktrans_native import _native
from ktrans_native import accelerator as ours
from ktrans_native.accelerator import NativeAccelerator

from ktrans.api import JsonShape, LineShape
from ktrans.kit.accelerate import accelerated
from ktrans.kit.rows.pieces import joined
from tests.rows_site import RowsSite, line_of

NAME = f"ktrans-native {_native.VERSION}"


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("KTRANS_NATIVE", raising=False)
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(4):
        lines = [line_of(number * 5000 + row) for row in range(5000)]
        odd = ["no flow"] if number == 0 else []  # leaves the first file to Python
        (logs / f"{number}.log").write_text("\n".join([*lines, *odd, ""]))

    def make(name, **engine):
        folder = tmp_path / name
        folder.mkdir()
        return RowsSite(folder, {"type": "file", "paths": [str(logs)]}, engine)

    return make


def written(site):
    return site.rows(), sorted(reject["raw"] for reject in site.rejects())


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_run_names_it_and_writes_the_same_without_it(site, monkeypatch, executor):
    engine = {"executor": executor, "task_size": 200_000}
    fast, plain = site("fast", **engine), site("plain", **engine)
    assert fast.run() == 0, fast.output
    assert fast.receipt["accelerator"] == NAME
    monkeypatch.setenv("KTRANS_NATIVE", "0")
    assert plain.run() == 0, plain.output
    assert plain.receipt["accelerator"] is None
    assert written(fast) == written(plain)
    assert sum(fast.rows().values()) == 20_000


SPY = """
import os, sys
from ktrans_native import accelerator

made = accelerator.line_reader

def line_reader(shape):
    read = made(shape)

    def spied(block, lines):
        found = read(block, lines)
        if found is not None:
            open(os.path.join(os.environ["SPIED"], str(os.getpid())), "w").close()
        return found

    return spied

accelerator.line_reader = line_reader
"""


def test_workers_use_it_too(site, monkeypatch, tmp_path):
    """The processes of the executor load this module first, as Python does with a sitecustomize."""
    spied = tmp_path / "spied"
    spied.mkdir()
    (tmp_path / "sitecustomize.py").write_text(SPY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SPIED", str(spied))
    spread = site("spread", executor="processes", task_size=200_000)
    assert spread.run() == 0, spread.output
    assert list(spied.iterdir()), "blocks were read natively, by the workers"


def test_a_module_that_does_not_fit_the_machine_stops_nothing(site, monkeypatch, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(Path(ours.__file__).parent, broken / "ktrans_native")
    for module in (broken / "ktrans_native").glob("_native*.so"):
        module.write_bytes(b"\x7fELF of another machine")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    one = site("one")
    assert one.run() == 0, one.output
    assert one.receipt["accelerator"] is None
    assert one.output.count("the hook ktrans_accelerator of the plugin ktrans-native failed") == 1
    assert sum(one.rows().values()) == 20_000
    for verb in ("version", "doctor", "plugins"):
        words = [sys.executable, "-m", "ktrans", verb]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert "the hook ktrans_accelerator failed: ImportError" in done.stdout, verb


def test_it_is_named_beside_the_versions(monkeypatch):
    def shown(*arguments):
        words = [sys.executable, "-m", "ktrans", "version", *arguments]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    monkeypatch.delenv("KTRANS_NATIVE", raising=False)
    assert json.loads(shown("--json"))["accelerator"] == NAME
    assert f"accelerator  {NAME}" in shown()
    monkeypatch.setenv("KTRANS_NATIVE", "0")
    assert json.loads(shown("--json"))["accelerator"] is None


def panics(*_):
    raise _native.PanicException("index out of bounds")


def test_a_panic_leaves_the_work_to_python(monkeypatch):
    monkeypatch.setattr(NativeAccelerator, "name", "a native module that panics")
    monkeypatch.setattr(ours, "line_reader", lambda shape: panics)
    monkeypatch.setattr(ours, "json_reader", lambda shape: panics)
    monkeypatch.setattr(ours, "join", panics)
    native = NativeAccelerator()
    assert native.lines(LineShape(("text",)))(b"a\n", 1) is None
    assert native.json(JsonShape())(b"{}\n", 1) is None
    with accelerated(native):
        assert joined(["a", "b"], 2).to_pylist() == ["ab", "ab"]
