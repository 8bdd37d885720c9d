"""The documentation is true: its pipelines validate, its commands run, its pages are up to date."""

import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

_SPEC = importlib.util.spec_from_file_location("shared", Path(__file__).with_name("conftest.py"))
shared = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(shared)
BLOCK, PAGES, ROOT, blocks, ktrans = (
    shared.BLOCK,
    shared.PAGES,
    shared.ROOT,
    shared.blocks,
    shared.ktrans,
)

TUTORIAL = ROOT / "docs/first-pipeline.md"
"""Its commands build on each other: they are run in their order, by `test_tutorial.py`."""

FILLED_IN = {"source": {"type": "generate"}, "sinks": [{"type": "blackhole"}]}
"""What a fragment of a pipeline is given, to be one."""

SECRETS = {
    "AZURE_STORAGE_CONNECTION_STRING": "AccountName=c;AccountKey=eA==",
    "KTRANS_STATE_URL": "postgresql://ktrans@localhost/ktrans",
}
"""What has to look like the real thing; any other variable may be any text."""

EXPECTED = {"segmentation.yaml": 3}
"""Shipped pipelines whose example logs break their rules, with the exit code."""


@pytest.mark.parametrize("text", list(blocks("yaml")))
def test_every_pipeline_in_the_docs_validates(text, library, monkeypatch, tmp_path):
    """Whole pipelines as they are, fragments with a made-up source and a sink that keeps nothing."""
    from ktrans.config.load import load_pipeline
    from ktrans.config.model import SECTIONS
    from ktrans.engine.assemble import assemble
    from ktrans.registry.catalogue import Catalogue

    tree = YAML(typ="safe").load(text)
    if "apiVersion" in tree or "services" in tree:
        return  # for Kubernetes or Compose: that it is YAML at all is what can be said here
    assert set(tree) & set(SECTIONS), (
        "a yaml block that is no pipeline: give it another language tag"
    )
    for name in re.findall(r"\$\{env:(\w+)", text):
        monkeypatch.setenv(name, SECRETS.get(name, "x"))
    if needs_what_nobody_can_ship(tree):
        return
    whole = {**{key: value for key, value in FILLED_IN.items() if key not in tree}, **tree}
    path = library / f"{tmp_path.name}.yaml"
    if whole == tree:
        path.write_text(text)
    else:
        YAML(typ="safe").dump(whole, path)
    monkeypatch.syspath_prepend(ROOT / "examples/third-party-plugin")
    catalogue = Catalogue(extra={"duckdb": importlib.import_module("ktrans_duckdb")})
    assemble(load_pipeline(path, catalogue), catalogue).close()


def needs_what_nobody_can_ship(tree):
    """Tell a pipeline that opens a file that only its owner has, when it is built."""
    types = {each.get("type") for each in tree.get("enrichers", ())}
    files = {"geoip", "threat_list", "aws_metadata", "gcp_metadata", "azure_metadata"}
    return bool(types & files)


def commands(text):
    """Return the lines of a block that call ktrans."""
    return [line for line in text.splitlines() if line.startswith("ktrans ")]


def run_elsewhere(text):
    """Tell a block that only runs shipped pipelines: `test_every_shipped_pipeline_runs` does."""
    plain = re.compile(r"ktrans run (--summary )?configs/[\w-]+\.yaml")
    return bool(commands(text)) and all(plain.fullmatch(line) for line in text.splitlines())


BLOCKS = [
    block
    for block in blocks("sh", [page for page in PAGES if page != TUTORIAL])
    if not run_elsewhere(block.values[0])
]


@pytest.mark.parametrize("text", BLOCKS)
def test_every_command_in_the_docs_runs(text, project):
    ran = 0
    for line in commands(text):
        result = ktrans(project, *shlex.split(line, comments=True)[1:])
        assert result.returncode == 0, f"{line}\n{result.stderr}"
        ran += 1
    assert ran


def shown():
    """Return the calls of ktrans in indented blocks: shown, but not run, for want of what they name."""
    for page in PAGES:
        for line in page.read_text().splitlines():
            if match := re.match(
                r"(?: {4}|\t)\s*(?:[^a-z\s]\S*\s+)*?(?:/\S+/)?(ktrans [a-z].*)", line
            ):
                yield pytest.param(match[1], id=f"{shared.name_of(page)}: {match[1][:40]}")


@pytest.mark.parametrize("line", list(dict.fromkeys(p.values[0] for p in shown())))
def test_every_command_that_is_only_shown_has_verbs_and_options_that_exist(line):
    from ktrans.cli.root import cli

    words = shlex.split(re.split(r"\s{2,}|\s[|>&;]", line)[0].rstrip("\\"))[1:]
    if not words or words[0].isupper() or words[0] == "VERB":
        return
    command, context = cli, click.Context(cli)
    while isinstance(command, click.Group) and words:
        while words[0] == "--plugins-dir":
            words = words[2:]
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command)
    known = {name for parameter in command.params for name in parameter.opts}
    known |= {name for parameter in command.params for name in parameter.secondary_opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known | {"--help"}, f"there is no {word}"


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
REMOTE = {
    *("s3-to-influxdb.yaml", "s3-to-prometheus.yaml", "azure-to-kafka.yaml", "gcs-to-s3.yaml"),
    *("elasticsearch.yaml", "loki.yaml", "splunk.yaml", "datadog.yaml", "new-relic.yaml"),
    *("otlp.yaml", "clickhouse.yaml", "postgres.yaml"),
    *(
        "receiver.yaml",
        "cloudwatch-to-kinesis.yaml",
        "to-nats.yaml",
        "to-rabbitmq.yaml",
        "to-bigquery.yaml",
    ),
}
"""They run in the integration tests, on servers or with clients."""


def test_every_shipped_pipeline_validates(library):
    result = ktrans(library, "validate", *[f"configs/{config.name}" for config in CONFIGS])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "config", [path for path in CONFIGS if path.name not in REMOTE], ids=lambda path: path.name
)
def test_every_shipped_pipeline_runs(config, project):
    path = project / "configs" / config.name
    result = ktrans(project, "run", "--summary", str(path))
    assert result.returncode == EXPECTED.get(config.name, 0), result.stderr


@pytest.mark.parametrize(
    "page",
    ["catalogue", "configuration", "flow-schema", "mapping", "expressions", "errors", "options"],
)
def test_the_reference_pages_say_what_the_code_says(page):
    said = subprocess.run(
        [sys.executable, "docs/site/reference.py", page],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout
    assert said == (ROOT / f"docs/{page}.md").read_text(), "run `make docs` and commit"


def test_every_link_in_the_docs_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_verb_is_in_the_docs():
    from ktrans.cli.root import cli

    text = "".join(page.read_text() for page in PAGES)
    for verb in cli.list_commands(None):
        assert f"ktrans {verb}" in text, f"no page shows `ktrans {verb}`"


NO_TESTS = {"test_iam_permissions"}
"""Names that begin like those of tests: this is a call of Google's."""


def test_every_test_that_a_page_names_exists():
    """Pages that make promises name the tests that hold them."""
    defined = set(NO_TESTS)
    for pattern in ("tests/**/test_*.py", "plugins/*/tests/**/test_*.py", "ktrans/testing/**/*.py"):
        for path in ROOT.glob(pattern):
            defined |= set(re.findall(r"^\s*def (test_\w+)", path.read_text(), re.MULTILINE))
            defined.add(path.name)
    named = 0
    for page in (ROOT / "docs").rglob("*.md"):
        text = BLOCK.sub("", page.read_text())
        for name in re.findall(r"`(?:[\w/.-]*/)?(test_\w+(?:\.py)?)`", text):
            assert name in defined, f"{page.name} names {name}, which there is not"
            named += 1
    assert named > 30


def test_every_file_that_a_page_names_exists():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        text = BLOCK.sub("", page.read_text())
        for name in re.findall(r"`((?:ktrans|tests|configs|examples|plugins)/[\w/.-]+)`", text):
            assert (ROOT / name).exists(), f"{page.name} names {name}, which is not there"


def test_the_plugin_guide_works_as_written(tmp_path):
    """The guide's own files, put where it says, make a plugin that runs and keeps the contract."""
    text = (ROOT / "docs/writing-a-plugin.md").read_text()
    declares, works, tests, *sketches = [
        code for kind, code in BLOCK.findall(text) if kind == "python"
    ]
    for sketch in sketches:
        compile(sketch, "writing-a-plugin.md", "exec")
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
    again = ktrans(project, "run", "--json", "configs/every-cloud.yaml")
    assert '"nothing_to_do"' in again.stdout
    counts = {}
    for path in (project / "out/every-cloud/lake").rglob("*.parquet"):
        for row in pq.ParquetFile(path).read(["log_type"]).column("log_type").to_pylist():
            counts[row] = counts.get(row, 0) + 1
    table = "".join(f"| {name} | {count} |\n" for name, count in sorted(counts.items()))
    assert table in (ROOT / "docs/clouds.md").read_text()
