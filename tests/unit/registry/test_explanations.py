"""Error codes and log events, of ktrans and of plugins."""

import ast
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ktrans.api import UsageError
from ktrans.cli.root import cli
from ktrans.registry.catalogue import first_party
from ktrans.registry.explanations import explanations, log_events

ROOT = Path(__file__).parents[3]
SOURCES = [*ROOT.glob("ktrans/**/*.py"), *ROOT.glob("plugins/*/ktrans_*/**/*.py")]
OURS = explanations(first_party())

ACME = """
    from ktrans.api import hookimpl
    import acme_events

    @hookimpl
    def ktrans_error_codes():
        return ['title = "Acme"\\n[acme_full]\\ncause = "It is full."\\ncure = "Empty it."']

    @hookimpl
    def ktrans_log_events():
        return ["acme_events"]

    @hookimpl
    def ktrans_known_types():
        return {"acme_lake": "acme-lake"}
"""
ACME_EVENTS = """
    from ktrans.api import LogEvent, LogField
    STALE = LogEvent("acme_stale", "info", "It is old.", LogField("age", "number", "Its age."))
"""


def test_no_code_is_explained_twice_or_without_use():
    text = "\n".join(path.read_text() for path in SOURCES)
    codes = [one.code for one in OURS]
    assert len(codes) == len(set(codes))
    assert [code for code in codes if f'"{code}"' not in text] == []


def literals(node):
    """Return the texts that an expression may be."""
    if isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


GIVEN_A_REASON = {"Fault", "Problem", "Unreadable", "Refused", "refuse", "_refuse"}
"""Calls that have a reason among their first arguments."""


def codes_in(tree):
    """Return the codes and reasons that a module may print, with the lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            given = [each.value for each in node.keywords if each.arg in ("code", "reason")]
            assert not any(isinstance(each, ast.JoinedStr) for each in given), ast.unparse(node)
            if name in GIVEN_A_REASON:
                given += node.args[:3]
            elif name in ("add", "of") and len(node.args) in (2, 3):
                owner = ast.unparse(node.func)
                given += node.args[1:2] if owner.endswith(("faults.add", "Wrong.of")) else []
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {getattr(each, "id", None) for each in targets}
            given = [node.value] if names & {"default_code", "reason"} else []
        else:
            continue
        for each in given:
            for text in literals(each):
                if re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", text):
                    yield text, node.lineno


def test_every_code_that_is_printed_is_explained():
    known = {one.code for one in OURS}
    missing = [
        f"{path.relative_to(ROOT)}:{line}: {code}"
        for path in SOURCES
        if "testing" not in path.parts
        for code, line in codes_in(ast.parse(path.read_text()))
        if code not in known
    ]
    assert missing == []


def test_plugins_bring_codes_and_events(install, catalogue):
    install("acme-events", ACME_EVENTS, point="acme-events")
    install("acme", ACME)
    found = catalogue(KTRANS_PLUGINS="acme")
    (full,) = [one for one in explanations(found) if one.code == "acme_full"]
    assert (full.cause, full.title, full.distribution) == ("It is full.", "Acme", "acme")
    (stale,) = [event for event in log_events(found) if event == "acme_stale"]
    assert (stale.level, stale.fields[0].name) == ("info", "age")


def test_a_hook_that_fails_hides_no_other_codes(install, catalogue):
    install("acme", ACME.replace("return ['title", "return 1 / 0, ['title"))
    assert "usage" in {one.code for one in explanations(catalogue(KTRANS_PLUGINS="acme"))}


def test_a_plugin_may_name_others_that_have_a_type(install, catalogue):
    install("acme", ACME.replace("import acme_events", ""))
    with pytest.raises(Exception, match="unknown sink acme_lake") as caught:
        catalogue(KTRANS_PLUGINS="acme").spec("sink", "acme_lake")
    assert "acme-lake" in caught.value.hint


def ran(*args):
    result = CliRunner().invoke(cli, ["explain", *args], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_a_code_is_explained_on_the_command_line():
    assert "rejects.limit" in ran("reject_limit")
    assert len(json.loads(ran("--json"))["codes"]) == len(OURS)


def test_a_misspelt_code_is_guessed():
    with pytest.raises(UsageError) as caught:
        ran("reject_limt")
    assert "reject_limit" in caught.value.hint
