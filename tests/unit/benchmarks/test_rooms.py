"""The measure of the code counts lines, files, circles and imports of plugins by room."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

TREE = {
    "ktrans/__init__.py": "VERSION = 1\n",
    "ktrans/api/__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ktrans.api.sink\n",
    "ktrans/api/sink.py": "from ktrans import api\n",
    "ktrans/kit/files/names.py": "import os\n\nimport ktrans.api\n",
    "ktrans/kit/retry.py": "from ktrans.api import sink\n",
    "ktrans/engine/run.py": "def run():\n    from ktrans.engine import task\n    return task\n",
    "ktrans/engine/task.py": "from ktrans.engine.run import run\n",
    "plugins/ktrans-x/ktrans_x/__init__.py": "from ktrans.api.sink import Sink\nimport ktrans.kit.retry\n",
    "plugins/ktrans-x/ktrans_x/sink.py": "from ktrans.engine.run import run\nfrom ktrans.engine import task\n",
    "plugins/ktrans-x/tests/test_x.py": "import ktrans.engine.run\n",
}


@pytest.fixture
def rooms(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import rooms

    yield rooms
    del sys.modules["rooms"]


@pytest.fixture
def found(rooms, tmp_path):
    for name, text in TREE.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return rooms.measure(tmp_path)


def test_lines_and_files_by_room(found):
    assert found["lines by room"] == {
        "api": 4,
        "engine": 4,
        "plugins/ktrans-x": 4,
        "kit/files": 3,
        "ktrans": 1,
        "kit/retry": 1,
    }
    assert found["files by room"]["engine"] == 2
    assert (found["lines"], found["files"], found["rooms of ktrans"]) == (17, 9, 3)
    assert found["largest files"]["ktrans/engine/run.py"] == 3


def test_circles_under_type_checking_and_inside_functions(found):
    assert found["import circles"] == 2
    assert set(found["modules of each import circle"]) == {
        "ktrans.api ktrans.api.sink",
        "ktrans.engine.run ktrans.engine.task",
    }


def test_imports_of_plugins_beyond_what_is_public(found):
    assert found["imports of plugins beyond what is public, by module"] == {
        "ktrans.engine.run": 1,
        "ktrans.engine.task": 1,
    }


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_script_prints_a_table_or_json(rooms, found, tmp_path, monkeypatch, capsys, form):
    monkeypatch.setattr(rooms, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["rooms.py", "--static", *["--json"][: form == "json"]])
    rooms.main()
    out = capsys.readouterr().out
    if form == "json":
        assert json.loads(out) == {"The code": found}
    else:
        assert "       17  lines\n" in out
        assert "        2  import circles\n" in out
