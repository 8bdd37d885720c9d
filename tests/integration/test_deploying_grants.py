"""The grants of docs/permissions.md suffice for the state store in PostgreSQL: the page's own statements are run."""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "examples/aws-logs/AWSLogs"

pytestmark = pytest.mark.service("postgres")


def statements():
    page = (ROOT / "docs/permissions.md").read_text()
    section = page.split("## PostgreSQL", 1)[1].split("\n## ", 1)[0]
    return [line.strip() for line in section.splitlines() if re.match(r" {4}[A-Z].*;$", line)]


@pytest.mark.parametrize("who_makes_it", ["ktrans", "administrator"])
def test_a_role_with_these_grants_can_keep_state(postgres_server, tmp_path, who_makes_it):
    create_role, grant, create_schema = statements()
    database, role = postgres_server.database(), f"r{uuid.uuid4().hex}"
    wanted = [create_role, grant if who_makes_it == "ktrans" else create_schema]
    for text in wanted:
        own = text.replace("DATABASE ktrans_state", f"DATABASE {database}")
        own = re.sub(r"(ROLE|TO|AUTHORIZATION) ktrans\b", rf"\1 {role}", own)
        postgres_server.query(database, own)
    url = postgres_server.url(database).replace("//postgres@", f"//{role}@")
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(
        f"""
name: flows
source: {{type: file, paths: ["{LOGS}"]}}
sinks: [{{type: blackhole}}]
rejects: {{type: file, path: "{tmp_path}/rejects/"}}
state: {{type: postgres, url: "{url}"}}
"""
    )
    for outcome in ("done", "nothing_to_do"):
        ran = subprocess.run(
            [sys.executable, "-m", "ktrans", "run", "--json", pipeline],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["outcome"] == outcome
