"""How the command line starts: fast, and with help for everything."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from ktrans.cli.root import VERBS, cli

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


def modules_after(*arguments: str) -> set[str]:
    code = (
        "import sys\nfrom ktrans.cli.failures import guarded\nfrom ktrans.cli.root import cli\n"
        f"guarded(cli, {list(arguments)!r})\nprint('\\n--', *sys.modules, sep='\\n')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(told.stdout.partition("\n--\n")[2].split("\n"))


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["components", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    assert modules_after(*arguments).isdisjoint(HEAVY)


def test_listing_components_imports_no_pyarrow_and_no_pydantic():
    assert modules_after("components").isdisjoint({"pyarrow", "pydantic", "rich"})


def commands(command=cli, path=()):
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for name in command.list_commands(ctx):
                yield from commands(command.get_command(ctx, name), (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_verb_and_option_has_help(ktrans, path):
    code, out, _err = ktrans(*path, "--help")
    assert code == 0
    assert out.startswith("Usage: ktrans")
    command = dict(commands())[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no help"


def test_the_table_of_verbs_says_what_their_help_says():
    with click.Context(cli) as ctx:
        for name, text in VERBS.items():
            help_text = cli.get_command(ctx, name).help.partition("\n\n")[0]
            assert help_text.replace("\n", " ").strip() == text


def test_all_exit_codes_are_in_the_help_of_run(ktrans):
    from ktrans.api import ExitCode

    _, out, _ = ktrans("run", "--help")
    lines = [line.split() for line in out.splitlines()]
    assert {str(int(code)) for code in ExitCode} <= {words[0] for words in lines if words}


def test_a_misspelt_verb_is_told_with_what_was_meant(ktrans):
    code, _, err = ktrans("valdiate", "x.yaml")
    assert code == 2
    assert "No such command 'valdiate'. Did you mean 'validate'?" in err


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
        import os

        environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    assert "greet       Say hello." in call("--help").stdout
    assert call("greet").stdout == "hello\n"
    assert "mine" not in call("run").stdout
    assert "ktrans-acme" in call("plugins").stdout


def test_versions(ktrans, ktrans_json):
    assert ktrans("--version")[1].startswith("ktrans 0.")
    code, told = ktrans_json("version")
    assert code == 0
    assert {"ktrans", "python", "pyarrow", "plugins"} <= told.keys()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts(ktrans, shell):
    code, out, _ = ktrans("completion", shell)
    assert code == 0
    assert "_KTRANS_COMPLETE" in out


def test_completion_completes_verbs():
    import os

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
    told = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert "validate" in told.stdout
