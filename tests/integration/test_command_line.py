"""The command line as a process: what it imports, signals, pipes, plugins."""

import json
import os
import signal
import subprocess
import sys

import pytest

PIPELINE = """\
name: demo
source: {type: file, paths: [logs/]}
sinks: [{type: file, path: out/, format: {type: jsonl}}]
"""
LOG = """\
srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status
10.0.0.1 192.0.2.7 40000 22 6 1 40 1767225600 1767225660 REJECT OK
"""
HEAVY = [
    "pyarrow",
    "pydantic",
    "ruamel",
    "rich",
    "structlog",
    "prometheus_client",
    "numpy",
    "importlib.metadata",
]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A pipeline with a log to read; its folder is the working folder."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/one.log").write_text(LOG)
    (tmp_path / "demo.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def modules_after(*arguments: str) -> set[str]:
    code = (
        "import sys\nfrom ktrans.cli.failures import guarded\nfrom ktrans.cli.root import cli\n"
        f"guarded(cli, {list(arguments)!r})\nprint('\\n--', *sys.modules, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.partition("\n--\n")[2].split("\n"))


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["components", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    assert modules_after(*arguments).isdisjoint(HEAVY)


def test_listing_components_imports_no_pyarrow_and_no_pydantic():
    assert modules_after("components").isdisjoint({"pyarrow", "pydantic", "rich"})


def test_plugins_add_verbs_but_cannot_take_ours(tmp_path):
    (tmp_path / "acme.py").write_text(
        "import click\nfrom ktrans.api import hookimpl\n\n"
        "@hookimpl\ndef ktrans_add_commands(cli):\n"
        "    @cli.command()\n    def greet():\n        'Say hello.'\n        click.echo('hello')\n"
        "    @cli.command()\n    def run():\n        click.echo('mine')\n"
    )
    info = tmp_path / "ktrans_acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ktrans-acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ktrans]\nacme = acme\n")

    def call(*arguments):
        command = [sys.executable, "-m", "ktrans", *arguments]
        environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    assert "greet       Say hello." in call("--help").stdout
    assert call("greet").stdout == "hello\n"
    assert "mine" not in call("run").stdout
    assert "ktrans-acme" in call("plugins").stdout


def test_completion_completes_verbs():
    environ = {
        **os.environ,
        "_KTRANS_COMPLETE": "zsh_complete",
        "COMP_WORDS": "ktrans va",
        "COMP_CWORD": "1",
    }
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv = ['ktrans']; import ktrans.cli as c; c.main()",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert "validate" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_following_run_cleanly(project, number):
    command = [sys.executable, "-m", "ktrans", "run", "demo.yaml", "--follow", "-v"]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert any("epoch_committed" in line for line in process.stderr)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "stopped" in err
    assert sum(len(p.read_text().splitlines()) for p in project.glob("out/*.jsonl")) == 1


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m ktrans schema | head -c 20; echo; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in {"0", "141"}


def test_a_run_that_has_nothing_to_say_does_not_import_structlog(tmp_path):
    (tmp_path / "a.log").write_text("")
    (tmp_path / "p.yaml").write_text(
        "source: {type: file, paths: [a.log]}\nsinks: [{type: blackhole}]\n"
    )
    code = (
        "import sys\nfrom ktrans.cli.failures import guarded\nfrom ktrans.cli.root import cli\n"
        "assert guarded(cli, ['run', 'p.yaml']) == 0\n"
        "print([name for name in ('structlog', 'opentelemetry', 'openlineage') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert not done.stderr


def test_the_end_of_a_run_that_never_read_has_its_names_too(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: p\nsource: {type: file, paths: [nowhere]}\nsinks: [{type: blackhole}]\n"
        "state: {path: p.db}\n"
    )
    command = [sys.executable, "-m", "ktrans", "run", "-v", "--log-format", "json", "p.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    [started] = [line for line in lines if line["event"] == "run_started"]
    [finished] = [line for line in lines if line["event"] == "run_finished"]
    assert finished["pipeline"] == "p"
    assert finished["run_id"] == started["run_id"]


WORK = """\
name: p
source: {type: file, paths: [a.log]}
decoder: {type: aws_vpc}
sinks: [{type: file, path: out/, format: {type: parquet}}]
state: {path: p.db}
"""
ONLY_WITH_WORK = [
    *("pyarrow._compute", "pyarrow._csv", "pyarrow._parquet", "pyarrow._fs", "ssl"),
    *("importlib.metadata", "email", "asyncio", "multiprocessing", "http.client", "zipfile"),
    *("ktrans.engine.epoch", "ktrans.engine.task", "ktrans.decoders.rows", "ktrans.decoders.auto"),
    *("ktrans.decoders.carriers.reader", "ktrans.expressions.compiler", "ktrans.engine.job"),
]
NEVER = [
    *("importlib.metadata", "email", "asyncio", "multiprocessing", "http.client", "zipfile"),
    *("numpy.ma.core", "tenacity.retry", "ktrans.decoders.auto", "ktrans.decoders.mapped.config"),
    *("ktrans.decoders.carriers.columns", "ktrans.decoders.carriers.avro", "ktrans.engine.probe"),
    *("boto3", "confluent_kafka", "google.cloud", "azure.core", "psycopg", "sqlalchemy"),
    "urllib3",
]


def modules_of_a_run(folder) -> list[str]:
    """Run `ktrans run` as the command does; return all modules that it had at its end."""
    code = (
        "import atexit, sys\natexit.register(lambda: print(*sys.modules, sep='\\n'))\n"
        "from ktrans.cli import main\nmain(['run', 'p.yaml'])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split()


def test_a_run_imports_what_it_needs_and_one_without_work_little(tmp_path):
    (tmp_path / "a.log").write_text(LOG)
    (tmp_path / "p.yaml").write_text(WORK)
    with_work = modules_of_a_run(tmp_path)
    assert len([*tmp_path.glob("out/*.parquet")]) == 1
    without = modules_of_a_run(tmp_path)
    assert len([*tmp_path.glob("out/*.parquet")]) == 1
    assert set(with_work).isdisjoint(NEVER)
    assert set(without).isdisjoint([*NEVER, *ONLY_WITH_WORK])
    ours = [name for name in without if name.startswith("ktrans.")]
    assert len(ours) <= 195, f"{len(ours)} modules of ours to find out that there is nothing to do"
