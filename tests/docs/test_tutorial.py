"""The tutorial works from its first command to its last, in the order in which it is read."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEP = re.compile(
    r"(?:as `(?P<file>[\w.-]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


def test_every_step_of_the_tutorial_works(project):
    """Commands are run by a shell, pipelines are saved under the name given, questions are asked."""
    import duckdb

    page = (ROOT / "docs/first-pipeline.md").read_text()
    (project / "bin").mkdir()
    ktrans = project / "bin/ktrans"
    ktrans.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ktrans "$@"\n')
    ktrans.chmod(0o755)
    environ = {**os.environ, "NO_COLOR": "1", "PATH": f"{project / 'bin'}:{os.environ['PATH']}"}
    answers = []
    for step in STEP.finditer(page):
        kind, text = step["kind"], step["text"]
        if kind == "yaml" and step["file"]:
            (project / step["file"]).write_text(text)
        elif kind == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=project,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        elif kind == "sql":
            asked = text.replace("from '", f"from '{project}/")
            answers.append(duckdb.sql(asked).fetchall())
    refused, accounts, [(total, different)] = answers
    assert len(refused) == 5
    assert {account for account, _ in accounts} == {"111122223333", "444455556666"}
    assert total == different > 990_000
