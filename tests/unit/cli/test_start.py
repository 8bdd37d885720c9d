"""How the command line starts: fast, and with help for everything."""

from __future__ import annotations

import click
import pytest

from ktrans.cli.root import VERBS, cli


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


def test_a_misspelled_verb_is_reported_with_a_suggestion(ktrans):
    code, _, err = ktrans("valdiate", "x.yaml")
    assert code == 2
    assert "No such command 'valdiate'. Did you mean 'validate'?" in err


def test_versions(ktrans, ktrans_json):
    assert ktrans("--version")[1].startswith("ktrans 0.")
    code, result = ktrans_json("version")
    assert code == 0
    assert {"ktrans", "python", "pyarrow", "plugins"} <= result.keys()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts(ktrans, shell):
    code, out, _ = ktrans("completion", shell)
    assert code == 0
    assert "_KTRANS_COMPLETE" in out
