"""The contract: its names are what they say, and registration stays light."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ktrans.api


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
