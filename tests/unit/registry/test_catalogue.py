"""How plugins are found, and what happens when one of them is at fault."""

from __future__ import annotations

import logging

import pytest

from ktrans.api import ConfigError, PluginError
from ktrans.api.spec import KINDS
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.entry_points import installed_points

GOOD = """
    from ktrans.api import Component, ComponentConfig, Spec, hookimpl

    class Config(ComponentConfig, type="{type}"):
        pass

    class Part(Component):
        pass

    @hookimpl
    def ktrans_components():
        return [Spec(kind="sink", type="{type}", build="{module}:Part", config="{module}:Config",
                     summary="A sink", api={api})]
"""


def good(module, name="acme", api=1):
    return GOOD.replace("{type}", name).replace("{module}", module).replace("{api}", str(api))


def plugin(found, distribution):
    return next(p for p in found.plugins() if p.distribution == distribution)


def test_built_in_components_come_in_by_the_entry_point(catalogue):
    first = catalogue().plugins()[0]
    assert (first.distribution, first.name, first.status) == ("ktrans", "builtin", "ok")
    assert {"source:file", "decoder:auto", "sink:file", "format:parquet"} <= set(first.components)
    for kind in KINDS:
        names = [spec.type for spec in catalogue().specs(kind)]
        assert names == sorted(names) != []


def test_an_installed_plugin_offers_its_components(catalogue, install):
    install("ktrans-acme", good("ktrans_acme"))
    found = catalogue()
    config = found.config("sink", {"type": "acme"})
    assert config.type == "acme"
    assert type(found.build("sink", config, None)).__name__ == "Part"
    info = found.origin("sink", "acme")
    assert info.origin == "ktrans-acme 1.0"
    assert info.hooks == ["ktrans_components"]


def test_a_plugin_that_cannot_be_imported_is_listed_and_stops_nobody_else(catalogue, install):
    install("ktrans-acme", "import no_such_sdk")
    found = catalogue()
    info = plugin(found, "ktrans-acme")
    assert info.status == "broken"
    assert "no_such_sdk" in info.error
    assert found.spec("sink", "file").type == "file"


def test_asking_for_a_component_of_a_broken_plugin_says_why_it_is_broken(catalogue, install):
    install("ktrans-acme", "import no_such_sdk")
    with pytest.raises(PluginError, match="No module named 'no_such_sdk'") as caught:
        catalogue().spec("source", "acme")
    assert caught.value.code == "plugin_broken"
    assert "ktrans-acme" in caught.value.message


def test_a_plugin_that_exits_on_import_is_broken(catalogue, install):
    install("ktrans-rude", "raise SystemExit(3)")
    assert plugin(catalogue(), "ktrans-rude").status == "broken"


def test_a_component_whose_own_import_fails_names_its_plugin(catalogue, install):
    install("ktrans-acme", good("no_such_module"))
    with pytest.raises(PluginError, match=r"ktrans-acme 1.0 cannot be loaded.*no_such_module"):
        catalogue().model("sink", "acme")


def test_two_plugins_that_claim_a_type_are_an_error_only_for_those_who_ask(catalogue, install):
    install("ktrans-one", good("ktrans_one"))
    install("ktrans-two", good("ktrans_two"), version="2.0")
    found = catalogue()
    assert "acme" not in [spec.type for spec in found.specs("sink")]
    assert plugin(found, "ktrans-one").conflicts == ["sink:acme (ktrans-two 2.0)"]
    with pytest.raises(PluginError, match=r"ktrans-one 1.0 and ktrans-two 2.0") as caught:
        found.spec("sink", "acme")
    assert caught.value.code == "plugin_conflict"


def test_a_component_for_a_later_ktrans_asks_for_an_upgrade(catalogue, install):
    install("ktrans-new", good("ktrans_new", api=99))
    found = catalogue()
    assert plugin(found, "ktrans-new").status == "too_new"
    with pytest.raises(PluginError, match="version 99") as caught:
        found.spec("sink", "acme")
    assert "upgrade ktrans" in caught.value.hint


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, "ok"),
        ({"KTRANS_PLUGINS": "ktrans-acme"}, "ok"),
        ({"KTRANS_PLUGINS": "other, acme"}, "ok"),
        ({"KTRANS_PLUGINS": ""}, "disabled"),
        ({"KTRANS_PLUGINS": "other"}, "disabled"),
        ({"KTRANS_DISABLE_PLUGINS": "ktrans_acme"}, "disabled"),
        ({"KTRANS_DISABLE_PLUGINS": "ktrans,builtin"}, "ok"),
    ],
)
def test_the_environment_says_which_plugins_may_load(catalogue, install, environ, status):
    install("ktrans-acme", good("ktrans_acme"), point="acme")
    found = catalogue(**environ)
    assert plugin(found, "ktrans-acme").status == status
    assert found.spec("sink", "file")
    if status == "disabled":
        with pytest.raises(PluginError, match="KTRANS_"):
            found.spec("sink", "acme")


def test_a_misspelt_hook_is_reported_with_what_was_meant(catalogue, install):
    install(
        "ktrans-typo",
        """
        from ktrans.api import hookimpl

        @hookimpl
        def ktrans_component():
            return []
        """,
    )
    info = plugin(catalogue(), "ktrans-typo")
    assert info.unknown_hooks == ["ktrans_component"]
    assert "did you mean ktrans_components?" in info.error


@pytest.mark.parametrize("body", ["return [3]", "raise RuntimeError('no')", "return None"])
def test_a_plugin_that_lists_nonsense_is_broken(catalogue, install, body):
    code = f"from ktrans.api import hookimpl\n\n@hookimpl\ndef ktrans_components():\n    {body}\n"
    install("ktrans-odd", code)
    assert plugin(catalogue(), "ktrans-odd").status == "broken"


def test_a_hook_with_arguments_that_it_never_gets_is_broken(catalogue, install):
    code = (
        "from ktrans.api import hookimpl\n\n@hookimpl\ndef ktrans_components(x):\n    return []\n"
    )
    install("ktrans-odd", code)
    assert plugin(catalogue(), "ktrans-odd").status == "broken"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("sink", "flie", "did you mean file?"),
        ("decoder", "parquet", "parquet is a format"),
        ("sink", "kafka", "comes with the plugin ktrans-kafka"),
        ("source", "xyzzy", "installed sources: file"),
    ],
)
def test_an_unknown_type_is_told_with_what_there_is(kind, name, said):
    own = [point for point in installed_points() if point.distribution == "ktrans"]
    with pytest.raises(ConfigError, match=f"unknown {kind} {name}") as caught:
        Catalogue(entry_points=own).spec(kind, name)
    assert said in caught.value.hint
    assert (caught.value.code, caught.value.field) == ("unknown_component", "type")


def test_observers_that_fail_are_logged_and_do_not_stop_the_others(catalogue, install, caplog):
    code = """
        from ktrans.api import hookimpl
        seen = []

        @hookimpl
        def ktrans_run_started(run):
            seen.append(run)
            FAIL
    """
    install("ktrans-a", code.replace("FAIL", "raise RuntimeError('boo')"))
    install("ktrans-b", code.replace("FAIL", "pass"))
    with caplog.at_level(logging.WARNING, "ktrans"):
        catalogue().tell("ktrans_run_started", run={"run_id": "7"})
    import ktrans_a
    import ktrans_b

    assert ktrans_a.seen == ktrans_b.seen == [{"run_id": "7"}]
    assert "ktrans-a failed: RuntimeError: boo" in caplog.text


def test_a_secret_comes_from_the_plugin_that_knows_the_scheme(catalogue, install):
    code = """
        from ktrans.api import hookimpl

        @hookimpl
        def ktrans_resolve_secret(scheme, ref):
            if scheme == "SCHEME":
                return "found " + ref
    """
    install("ktrans-a", code.replace("SCHEME", "a"))
    install("ktrans-b", code.replace("SCHEME", "b"))
    found = catalogue()
    assert found.resolve_secret("a", "x") == "found x"
    assert found.resolve_secret("b", "y") == "found y"
    assert found.resolve_secret("c", "z") is None


def test_config_of_a_raw_mapping_names_the_option_at_fault(catalogue, install):
    install("ktrans-acme", good("ktrans_acme"))
    with pytest.raises(ConfigError, match="sink acme has no option `size`") as caught:
        catalogue().config("sink", {"type": "acme", "size": 3})
    assert caught.value.field == "size"
