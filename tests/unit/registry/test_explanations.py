"""Error codes and log events, of ktrans and of plugins."""

import json
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
