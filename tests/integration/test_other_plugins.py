"""Plugins of other people: written by `ktrans new-plugin`, or outside the project; installed by pip."""

import json
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from ktrans.cli.new_plugin import TEMPLATE_KINDS

pytestmark = pytest.mark.xdist_group("one environment for all")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "third-party-plugin"


def ran(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A new plugin of each kind."""
    folder = tmp_path_factory.mktemp("plugins")
    for kind in TEMPLATE_KINDS:
        ran(
            sys.executable,
            "-m",
            "ktrans",
            "new-plugin",
            f"new-{kind}",
            "--kind",
            kind,
            "--into",
            folder,
        )
    return folder


@pytest.fixture(scope="module")
def environment(plugins, tmp_path_factory):
    """A fresh environment with ktrans, the new plugins and the example."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    wheels = [ROOT, ROOT / "plugins/ktrans-generate", EXAMPLE, *sorted(plugins.iterdir())]
    ran(python, "-m", "pip", "install", "--quiet", "pytest", *wheels)
    return python


@pytest.mark.slow
def test_new_plugins_install_and_pass_their_tests_as_written(environment, plugins):
    for kind in TEMPLATE_KINDS:
        folder = plugins / f"ktrans-new-{kind}"
        assert " passed" in ran(environment, "-m", "pytest", "-q", folder, cwd=folder)
    listed = json.loads(ran(environment, "-m", "ktrans", "plugins", "--json"))
    found = {plugin["distribution"]: plugin["status"] for plugin in listed["plugins"]}
    assert {f"ktrans-new-{kind}" for kind in TEMPLATE_KINDS} | {"ktrans-duckdb"} <= set(found)
    assert set(found.values()) == {"ok"}


@pytest.mark.slow
def test_the_steps_of_the_page_lead_to_a_plugin_that_works(tmp_path):
    """In a fresh environment; the verb prints the same steps."""
    command = [sys.executable, "-m", "ktrans", "new-plugin", "acme", "--kind", "enricher"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    page = (ROOT / "docs/writing-a-plugin.md").read_text()
    [shown] = re.findall(r"new-plugin acme .*?\n```\n\n((?: {4}.*\n)+)", page)
    steps = [line.strip().replace("PATH/TO/ktrans", str(ROOT)) for line in shown.splitlines()]
    printed = done.stderr.partition("next:\n")[2].splitlines()
    assert [line.strip() for line in printed] == [s for s in steps if "components" not in s]
    ran("bash", "-e", "-c", "\n".join(steps), cwd=tmp_path)


@pytest.mark.slow
def test_the_example_of_a_plugin_passes_its_tests_where_it_is_installed(environment):
    assert " passed" in ran(environment, "-m", "pytest", "-q", EXAMPLE, cwd=EXAMPLE)


@pytest.mark.slow
def test_the_pipeline_of_the_examples_page_runs_where_it_is_written(environment, tmp_path):
    shutil.copytree(ROOT / "examples/aws-logs", tmp_path / "aws-logs")
    [pipeline] = re.findall(r"```yaml\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    path = tmp_path / EXAMPLE.name / "flows.yaml"
    path.parent.mkdir()
    path.write_text(pipeline)
    receipt = json.loads(ran(environment, "-m", "ktrans", "run", "--json", path))
    assert receipt["outcome"] == "done"


@pytest.mark.slow
def test_a_new_plugin_works_in_a_pipeline(environment, tmp_path):
    (tmp_path / "inbox").mkdir()
    line = "1767225600 10.0.0.1 192.0.2.7 40000 443 6 10 840\n"
    (tmp_path / "inbox" / "a.log").write_text(line * 100 + "rubbish\n")
    (tmp_path / "p.yaml").write_text(
        "name: p\n"
        "source: {type: new_source, folder: inbox}\n"
        "decoder: {type: new_decoder}\n"
        "enrichers: [{type: new_enricher}]\n"
        "sinks:\n"
        "  - {type: new_sink, database: flows.db}\n"
        "  - {type: file, path: out/, format: {type: new_format, columns: [bytes_per_packet]}}\n"
    )
    ran(environment, "-m", "ktrans", "run", tmp_path / "p.yaml")
    [written] = (tmp_path / "out").glob("*.new_format")
    assert written.read_text() == 'bytes_per_packet="84"\n' * 100


@pytest.mark.parametrize("name", ["Acme", "../acme", "a_b", "", "1a"])
def test_a_name_that_cannot_be_one_is_refused(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ktrans", "new-plugin", name, "--kind", "sink", "--into", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
