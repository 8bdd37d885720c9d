"""The recipes of the page on lakes, as they are written there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Lake

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/to-a-lake.md").read_text("utf-8")


def block(language, word):
    """The first block of the page that has a word in it."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return next(text for text in found if word in text)


@pytest.mark.slow
def test_tables_are_written_read_and_compacted_as_the_page_says(tmp_path):
    shutil.copytree(ROOT / "examples/aws-logs", tmp_path / "examples/aws-logs")
    (tmp_path / "flows.yaml").write_text(block("yaml", "sqlite:///catalog.db"))
    run = [sys.executable, "-m", "ktrans", "run", "flows.yaml"]
    commands = [
        run,
        *(
            [sys.executable, "-c", block("python", word)]
            for word in ("scan_delta", "vacuum", "expire")
        ),
        run,
    ]
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ
        )
        assert done.returncode == 0, done.stderr
    delta, iceberg = Lake(tmp_path, "delta"), Lake(tmp_path, "iceberg")
    delta.root = tmp_path / "lake/delta"
    assert delta.rows().num_rows == iceberg.rows().num_rows == 3027
