"""The contract: its examples run, its names are what they say, and registration stays light."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ktrans.api
from ktrans.api import ConfigError, Context

MODULES = sorted(module.name for module in pkgutil.iter_modules(ktrans.api.__path__))
WITHOUT_EXAMPLE = {"clock", "log_events"}


def listed():
    """The names of the import block, each with its module."""
    tree = ast.parse(Path(ktrans.api.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.name: node.module
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", MODULES)
def test_each_kind_opens_with_an_example_that_runs(name):
    module = importlib.import_module(f"ktrans.api.{name}")
    has_example = bool(doctest.DocTestParser().get_examples(module.__doc__))
    assert has_example != (name in WITHOUT_EXAMPLE)
    assert doctest.testmod(module).failed == 0


def test_names_are_those_of_the_modules_that_define_them():
    for name, module in listed().items():
        assert getattr(ktrans.api, name) is getattr(importlib.import_module(module), name)


def test_every_module_of_the_contract_is_asked_for_names():
    homes = {module.removeprefix("ktrans.api.") for module in listed().values()}
    assert homes == set(ktrans.api._MODULES)


def test_names_that_do_not_exist_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'Sprocket'"):
        ktrans.api.Sprocket  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("ktrans.api.sprocket")


def test_a_registration_module_loads_nothing_heavy():
    code = (
        "import sys; from ktrans.api import Spec, hookimpl; "
        "print([name for name in ('pyarrow', 'pydantic', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "text",
    ["a\0b", "n" * 300, "x/" * 3000, "~nobody-of-this-name/x"],
    ids=["nul", "name", "path", "home"],
)
def test_what_no_file_can_be_named_is_an_error_of_the_configuration(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        Context(base_dir=tmp_path).path(text)
    assert caught.value.code == "path_bad"
    assert len(caught.value.message) < 300
