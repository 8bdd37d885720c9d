"""What `ktrans new-plugin` writes imports only what a plugin may, and that exists."""

import ast
import importlib

import pytest
from click.testing import CliRunner

from ktrans.api import UsageError
from ktrans.cli.new_plugin import TEMPLATE_KINDS
from ktrans.cli.root import cli
from ktrans.tools.new_plugin import write_plugin


@pytest.mark.parametrize("kind", TEMPLATE_KINDS)
def test_a_new_plugin_imports_the_public_names_only(tmp_path, kind):
    write_plugin(f"new-{kind}", kind, tmp_path)
    imported = [
        (node.module, alias.name)
        for path in tmp_path.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ktrans.")
        for alias in node.names
    ]
    assert imported
    for module, name in imported:
        assert module.startswith(("ktrans.api", "ktrans.kit", "ktrans.testing")), module
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    args = ["new-plugin", "acme", "--kind", "sink", "--into", str(tmp_path / "file" / "in")]
    result = CliRunner().invoke(cli, args, standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert result.exception.code == "cannot_write"
