"""A pipeline file in a mounted ConfigMap: a link to a folder whose name changes with every change of it."""

import json
from pathlib import Path

import pytest

from tests.command import ktrans

LOGS = Path(__file__).parents[2] / "examples/aws-logs/AWSLogs"


@pytest.fixture
def mount(tmp_path):
    """Lay out a folder as the kubelet does; called again, it exchanges what is in it."""
    folder = tmp_path / "etc"
    folder.mkdir()

    def write(version, poll_interval):
        data = folder / f"..{version}"
        data.mkdir()
        (data / "flows.yaml").write_text(
            f"""
name: flows
source: {{type: file, paths: ["{LOGS}"]}}
sinks: [{{type: file, path: "{tmp_path}/lake/", format: {{type: jsonl}}}}]
rejects: {{type: file, path: "{tmp_path}/rejects/"}}
state: {{path: "{tmp_path}/state.db"}}
engine: {{poll_interval: {poll_interval}}}
"""
        )
        fresh = folder / "..data_tmp"
        fresh.symlink_to(data.name)
        fresh.replace(folder / "..data")
        path = folder / "flows.yaml"
        if not path.is_symlink():
            path.symlink_to("..data/flows.yaml")
        return str(path)

    return write


def test_a_changed_config_map_is_the_same_pipeline(mount):
    first = ktrans("run", "--json", mount("2026_11_01", 1))
    assert json.loads(first.stdout)["outcome"] == "done", first.stderr
    again = ktrans("run", "--json", mount("2026_11_02", 2))
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["outcome"] == "nothing_to_do"


def test_another_file_of_the_same_name_and_store_is_refused_still(mount, tmp_path):
    path = mount("2026_11_01", 1)
    assert ktrans("run", path).returncode == 0
    copy = tmp_path / "copy.yaml"
    copy.write_text(Path(path).read_text())
    refused = ktrans("run", str(copy))
    assert refused.returncode == 78
    assert "name_taken" in refused.stderr
