"""Finds the error codes in the source of a package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_CODE = re.compile(r"[a-z][a-z_0-9]+")


def codes_raised(folder: Path) -> dict[str, str]:
    """Return the codes that a folder's modules pass as `code=` or set as `default_code`.

    The values are the places, as `file:line`. Modules of tests and of `testing` are skipped.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        if {"testing", "tests"} & set(path.relative_to(folder).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for code in _codes(node):
                found.setdefault(code, f"{path.name}:{getattr(node, 'lineno', 0)}")
    return found


def _codes(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.keyword) and node.arg == "code":
        value: ast.AST = node.value
    elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "default_code":
        if node.value is None:
            return
        value = node.value
    else:
        return
    formatted = {
        id(part)
        for text in ast.walk(value)
        if isinstance(text, ast.JoinedStr)
        for part in text.values
    }
    for part in ast.walk(value):
        if isinstance(part, ast.Constant) and id(part) not in formatted:
            text = part.value
            if isinstance(text, str) and _CODE.fullmatch(text):
                yield text
