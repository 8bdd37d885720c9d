"""The documentation is true: its pipelines validate, its commands run, its pages are up to date."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples/README.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language):
    for page in PAGES:
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text())):
            if kind == language:
                yield pytest.param(text, id=f"{page.name}-{number}")


@pytest.fixture
def project(tmp_path):
    """A copy of what a reader has in front of them."""
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "examples/aws-logs/networks.csv", tmp_path / "networks.csv")
    return tmp_path


def ktrans(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "ktrans", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.mark.parametrize("text", list(blocks("yaml")))
def test_every_pipeline_in_the_docs_validates(text, project):
    if "source:" not in text:
        pytest.fail("a yaml block that is no pipeline: give it another language tag")
    path = project / "pipeline.yaml"
    path.write_text(text)
    result = ktrans(project, "validate", str(path))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("text", list(blocks("sh")))
def test_every_command_in_the_docs_runs(text, project):
    ran = 0
    for line in text.splitlines():
        if not line.startswith("ktrans "):
            continue
        result = ktrans(project, *shlex.split(line, comments=True)[1:])
        assert result.returncode == 0, f"{line}\n{result.stderr}"
        ran += 1
    assert ran


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
REMOTE = {"s3-to-influxdb.yaml", "azure-to-kafka.yaml", "gcs-to-s3.yaml"}
"""They run in the integration tests, on servers."""


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_pipeline_validates(config, project):
    result = ktrans(project, "validate", str(project / "configs" / config.name))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "config", [path for path in CONFIGS if path.name not in REMOTE], ids=lambda path: path.name
)
def test_every_shipped_pipeline_runs(config, project):
    path = project / "configs" / config.name
    result = ktrans(project, "run", "--summary", str(path))
    assert result.returncode == 0, result.stderr
    again = ktrans(project, "run", "--json", str(path))
    assert again.returncode == 0
    assert '"nothing_to_do"' in again.stdout


@pytest.mark.parametrize(
    ("subject", "page"),
    [
        ("config", "configuration.md"),
        ("flow", "flow-schema.md"),
        ("mapping", "mapping.md"),
        ("errors", "errors.md"),
    ],
)
def test_the_reference_pages_say_what_the_code_says(subject, page):
    command = [sys.executable, "-m", "ktrans.config.reference", subject]
    said = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout
    assert said == (ROOT / "docs" / page).read_text(), "run `make docs` and commit"


def test_every_link_in_the_docs_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_verb_is_in_the_docs():
    from ktrans.cli.root import cli

    text = "".join(page.read_text() for page in PAGES)
    for verb in cli.list_commands(None):
        assert f"ktrans {verb}" in text, f"no page shows `ktrans {verb}`"


def test_the_plugin_guide_works_as_written(tmp_path):
    """The guide's own files, put where it says, make a plugin that runs and keeps the contract."""
    text = (ROOT / "docs/writing-a-plugin.md").read_text()
    declares, works, tests = [code for kind, code in BLOCK.findall(text) if kind == "python"]
    package = tmp_path / "ktrans_megabits"
    package.mkdir()
    (package / "__init__.py").write_text(declares)
    (package / "enricher.py").write_text(works)
    (tmp_path / "test_megabits.py").write_text(tests)
    (tmp_path / "try.py").write_text(
        "import ktrans_megabits, pyarrow as pa\n"
        "from ktrans.registry.catalogue import Catalogue\n"
        "from ktrans.api import Context\n"
        "c = Catalogue(extra={'megabits': ktrans_megabits})\n"
        "e = c.build('enricher', c.config('enricher', {'type': 'megabits'}), Context())\n"
        "batch = pa.record_batch({'bytes': [1_000_000]})\n"
        "assert e.bind(batch.schema).equals(e.apply(batch).schema)\n"
        "print(e.apply(batch).column('megabits')[0])\n"
    )
    result = subprocess.run(
        [sys.executable, "try.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "8.0", result.stderr
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout


def test_the_table_of_every_cloud_is_what_the_pipeline_gives(project):
    import pyarrow.parquet as pq

    assert ktrans(project, "run", "configs/every-cloud.yaml").returncode == 0
    counts = {}
    for path in (project / "out/every-cloud/lake").rglob("*.parquet"):
        for row in pq.ParquetFile(path).read(["log_type"]).column("log_type").to_pylist():
            counts[row] = counts.get(row, 0) + 1
    table = "".join(f"| {name} | {count} |\n" for name, count in sorted(counts.items()))
    assert table in (ROOT / "docs/clouds.md").read_text()
