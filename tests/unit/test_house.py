"""No module of ktrans or of a plugin imports itself by way of others, not even for types.

Rooms are the folders: `ktrans.kit`, `ktrans.decoders.logs`, ... Their direction is a contract of
import-linter, in pyproject.toml.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    path.name: path
    for path in [ROOT / "ktrans", *sorted(ROOT.glob("plugins/*/ktrans_*"))]
    if path.is_dir()
}


def modules() -> dict[str, Path]:
    return {
        ".".join((name, *path.relative_to(root).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for name, root in PACKAGES.items()
        for path in sorted([*root.rglob("*.py"), *root.rglob("*.pyi")])  # .pyi: compiled ones
    }


@cache
def imports() -> dict[str, set[str]]:
    """Each module with those that it imports, in functions and for types too."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                targets = [
                    inner if (inner := f"{node.module}.{alias.name}") in known else node.module
                    for alias in node.names
                ]
            else:
                continue
            found[name].update(target for target in targets if target in known)
    return found


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Sets of nodes that can all reach each other (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            at = stack.index(node)
            members = frozenset(stack[at:])
            del stack[at:]
            if len(members) > 1:
                found.add(members)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def room(module: str) -> str:
    """`ktrans.decoders` of `ktrans.decoders.logs.aws_vpc`; a plugin is one room."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "ktrans" else parts[0]


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}) == {frozenset("bc")}


def test_no_module_imports_itself_by_way_of_others():
    assert circles(imports()) == set()


def test_no_room_imports_itself_by_way_of_others():
    graph: dict[str, set[str]] = {}
    for module, targets in imports().items():
        rooms = graph.setdefault(room(module), set())
        rooms.update(room(target) for target in targets if room(target) != room(module))
    assert circles(graph) == set()


def test_plugins_import_the_api_and_the_kit_only():
    allowed = ("ktrans.api", "ktrans.kit")
    wrong = {
        (module, target)
        for module, targets in imports().items()
        if not module.startswith("ktrans.") and module.startswith("ktrans_")
        for target in targets
        if room(target) not in {room(module), *allowed}
    }
    assert wrong == set()
