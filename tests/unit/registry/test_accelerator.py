"""The accelerator of the plugins: which one is used, and that a broken one stops nothing."""

import logging

import pytest

FAST = """
from ktrans.api import Accelerator, hookimpl

class Fast(Accelerator):
    name = "acme-fast 1.0"
    def lines(self, shape):
        return lambda block, lines: None
    json = lines
    def join(self, parts, rows):
        raise NotImplementedError

@hookimpl
def ktrans_accelerator():
    return Fast()
"""
BROKEN = FAST.replace("return Fast()", "import acme_of_another_machine")
NAMELESS = FAST.replace('name = "acme-fast 1.0"', "")
ABSENT = FAST.replace("return Fast()", "return None")


@pytest.fixture(autouse=True)
def not_turned_off(monkeypatch):
    monkeypatch.delenv("KTRANS_NATIVE", raising=False)


def test_the_first_plugin_that_offers_one_is_asked_once(install, catalogue):
    install("acme-none", ABSENT)
    install("acme-fast", FAST)
    found = catalogue(KTRANS_PLUGINS="acme-none,acme-fast")
    assert found.accelerator().name == "acme-fast 1.0"
    assert found.accelerator() is found.accelerator()


def test_it_can_be_turned_off_by_two_variables(install, catalogue, monkeypatch):
    install("acme-fast", FAST)
    assert catalogue(KTRANS_PLUGINS="").accelerator() is None
    disabled = catalogue(KTRANS_PLUGINS="acme-fast", KTRANS_DISABLE_PLUGINS="acme-fast")
    assert disabled.accelerator() is None
    monkeypatch.setenv("KTRANS_NATIVE", "0")
    assert catalogue(KTRANS_PLUGINS="acme-fast").accelerator() is None


def test_one_that_cannot_be_loaded_is_logged_once_and_not_used(install, catalogue, caplog):
    install("acme-fast", BROKEN)
    found = catalogue(KTRANS_PLUGINS="acme-fast")
    with caplog.at_level(logging.WARNING):
        assert [found.accelerator(), found.accelerator()] == [None, None]
    (record,) = caplog.records
    assert record.event == "hook_failed"
    assert "acme_of_another_machine" in record.getMessage()
    (plugin,) = (plugin for plugin in found.plugins() if plugin.distribution == "acme-fast")
    assert plugin.status == "ok"
    assert plugin.state.startswith("the hook ktrans_accelerator failed: ModuleNotFoundError")


def test_what_is_no_accelerator_with_a_name_is_not_used(install, catalogue, caplog):
    install("acme-none", NAMELESS)
    install("acme-other", FAST.replace("return Fast()", "return 1"))
    install("acme-fast", FAST)
    found = catalogue(KTRANS_PLUGINS="acme-none,acme-other,acme-fast")
    with caplog.at_level(logging.WARNING):
        assert found.accelerator().name == "acme-fast 1.0"
    assert [record.event for record in caplog.records] == ["hook_failed", "hook_failed"]
    assert "it returned Fast, no Accelerator with a name" in caplog.records[0].getMessage()
