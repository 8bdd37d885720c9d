"""How failures are result, to people and to programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ktrans.api import AccessError, ConfigError, ConfigErrors, Where
from ktrans.cli.failures import guarded


def failing(error):
    @click.command()
    @click.option("--json", is_flag=True)
    @click.option("--debug", is_flag=True)
    def command(**_options):
        raise error

    return command


def test_a_config_error_has_code_place_snippet_and_hint(project, ktrans):
    (project / "demo.yaml").write_text(
        "source: {type: file, pahts: [x]}\ndecoder: {type: aws_vpc}\nsinks: [{type: blackhole}]\n"
    )
    code, out, err = ktrans("validate", "demo.yaml")
    assert (code, out) == (78, "")
    first, place, line, caret, hint = err.splitlines()[:5]
    assert first == "error[unknown_option]: source file has no option `pahts`"
    assert place == "  --> demo.yaml:1:22"
    assert line == "  1 | source: {type: file, pahts: [x]}"
    assert caret == "    |                      ^^^^^"
    assert hint.startswith("  hint: did you mean `paths`? the options are: exclude, ")


def test_json_gives_one_object_with_every_error(project, ktrans_json):
    (project / "demo.yaml").write_text(
        "source: {type: flie}\nsinks: [{type: blackhole, a: 1}]\ndecoder: {type: aws_vpc}\n"
    )
    code, result = ktrans_json("run", "demo.yaml")
    assert code == 78
    assert result["error"]["code"] == "config_errors"
    assert [(e["code"], e["line"], e["column"]) for e in result["error"]["errors"]] == [
        ("unknown_component", 1, 16),
        ("unknown_option", 2, 27),
    ]


def test_json_of_one_error_is_flat(ktrans_json):
    code, result = ktrans_json("run", "nowhere.yaml")
    assert code == 78
    assert result == {
        "error": {
            "code": "config_not_found",
            "message": "no such file",
            "hint": None,
            "file": "nowhere.yaml",
            "line": None,
            "column": None,
            "component": None,
        }
    }


def test_json_speaks_of_usage_errors_too(ktrans_json):
    code, result = ktrans_json("run")
    assert code == 2
    assert result["error"]["code"] == "usage"
    assert "CONFIG" in result["error"]["message"]


def test_a_component_is_named_where_there_is_no_place(capfd):
    error = AccessError("permission denied", hint="ask for it")
    error.component = "sinks[0] box"
    assert guarded(failing(error), []) == 77
    _, err = capfd.readouterr()
    assert err == "error[access]: permission denied\n  in sinks[0] box\n  hint: ask for it\n"


def test_several_errors_are_shown_one_after_the_other(capfd):
    one = ConfigError("first", where=Where("a.yaml", 1, 2, "1 | x\n  | ^"))
    two = ConfigError("second", where=Where("a.yaml", 3))
    assert guarded(failing(ConfigErrors([one, two])), []) == 78
    _, err = capfd.readouterr()
    assert err == (
        "error[config]: first\n  --> a.yaml:1:2\n  1 | x\n    | ^\n\n"
        "error[config]: second\n  --> a.yaml:3\n\n2 problems in the configuration\n"
    )


def test_the_unexpected_is_70_and_says_how_to_report(capfd):
    assert guarded(failing(RuntimeError("the password is hunter2")), []) == 70
    _, err = capfd.readouterr()
    assert "RuntimeError" in err
    assert "--debug" in err
    assert "hunter2" not in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback(capfd):
    assert guarded(failing(RuntimeError("boom")), ["--debug"]) == 70
    _, err = capfd.readouterr()
    assert "Traceback" in err
    assert "RuntimeError: boom" in err


def test_the_unexpected_as_json(capfd):
    assert guarded(failing(RuntimeError("boom")), ["--json"]) == 70
    out, _ = capfd.readouterr()
    assert json.loads(out)["error"]["code"] == "internal"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_130(capfd, error):
    assert guarded(failing(error), []) == 130
    assert "Traceback" not in capfd.readouterr()[1]


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.is_char_device(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "arguments", [["version"], ["version", "--json"], ["--help"]], ids=" ".join
)
def test_a_full_disk_below_stdout_is_no_defect(arguments):
    command = [sys.executable, "-m", "ktrans", *arguments]
    with FULL.open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.stderr.endswith(
        "error[disk_full]: no space left for what the command prints or writes\n"
        "  hint: free some space, and run it again\n"
    )
    assert ended.returncode == 75


@pytest.mark.parametrize(
    ("name", "code"), [("a${env:NOT_THERE}", "missing_env"), ("a{b}", "bad_name")]
)
def test_a_name_that_is_none_is_one_mistake(project, ktrans, name, code):
    """Not also one of the default folder of rejects, which has the name in it."""
    (project / "demo.yaml").write_text(
        f"name: '{name}'\nsource: {{type: file, paths: [logs/]}}\nsinks: [{{type: blackhole}}]\n"
    )
    exit_code, _, err = ktrans("validate", "demo.yaml")
    assert exit_code == 78
    assert err.count("error[") == 1
    assert f"error[{code}]" in err
