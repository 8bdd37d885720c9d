"""The pipelines in the README are valid."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BLOCKS = re.findall(
    r"```yaml\n(.*?)```", (Path(__file__).parent.parent / "README.md").read_text(), re.DOTALL
)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_pipeline_of_the_readme_is_valid(number, tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(BLOCKS[number])
    done = subprocess.run(
        [sys.executable, "-m", "ktrans", "validate", str(path)],
        env={**os.environ, "AZURE_STORAGE_CONNECTION_STRING": "AccountName=c;AccountKey=eA=="},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
