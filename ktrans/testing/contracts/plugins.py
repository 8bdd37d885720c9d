"""The contract of plugins: no cost before they are used, and every component tested."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ktrans.api import ComponentConfig, LogEvent, Spec
from ktrans.api.spec import API_VERSION, KINDS
from ktrans.testing.contracts.covered import covered

_BUILTIN = "ktrans.registry.builtin"
"""The module of the built-in plugin, whose codes every plugin may use."""

_REGISTERING = frozenset({"ktrans", "pluggy"})
_VALIDATING = _REGISTERING | {
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
    *(
        "pyarrow",
        "cython_runtime",
        "numpy",
        "msgspec",
        "isal",
        "tenacity",
        "ruamel",
        "click",
        "rich",
    ),
    *("pygments", "markdown_it", "mdurl", "prometheus_client", "structlog"),
}
"""What ktrans itself needs: it is there anyway."""

_CODE = re.compile(r"[a-z][a-z_0-9]+")

_LISTING = """
import functools, importlib, json, sys
sys.path[:0] = {path!r}
module = importlib.import_module({module!r})
specs = getattr(module, "ktrans_components", list)()
for spec in specs if {validating!r} else ():
    home, _, name = spec.config.partition(":")
    functools.reduce(getattr, name.split("."), importlib.import_module(home))
names = {{name.partition(".")[0] for name in sys.modules}}
print(json.dumps(sorted(names - set(sys.stdlib_module_names))))
"""


class PluginContract:
    """Inherit this, and name the plugin's module.

    Attributes:
        module: that its entry point names, with the hook `ktrans_components`.
        own: top-level packages of the plugin besides that, if there are any.
    """

    module: ClassVar[str]
    own: ClassVar[frozenset[str]] = frozenset()

    @property
    def specs(self) -> list[Spec]:
        """What the plugin offers."""
        home = importlib.import_module(self.module)
        return list(home.ktrans_components()) if hasattr(home, "ktrans_components") else []

    def test_nothing_is_imported_when_it_registers(self) -> None:
        """`ktrans --help` asks every plugin that is installed."""
        assert self._imported(validating=False) <= _REGISTERING

    def test_no_sdk_is_imported_to_validate_a_pipeline(self) -> None:
        """It would cost seconds, and may not even be installed."""
        assert self._imported(validating=True) <= _VALIDATING

    def _imported(self, *, validating: bool) -> set[str]:
        """Return the packages that a fresh process imports, without the plugin's own."""
        code = _LISTING.format(path=sys.path, module=self.module, validating=validating)
        done = subprocess.run(  # noqa: S603  # code of ours
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        own = {self.module.partition(".")[0], *self.own}
        # What .pth files import happens in every process, and has to do with no plugin.
        bare = subprocess.run(
            [sys.executable, "-c", "import sys; print(*sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
        )
        return {
            name
            for name in set(json.loads(done.stdout)) - own - set(bare.stdout.split())
            if not name.startswith(("_", "__"))
        }

    def test_what_it_offers_is_well_declared(self) -> None:
        """Names are what users write; sinks say what survives a crash."""
        assert len({(spec.kind, spec.type) for spec in self.specs}) == len(self.specs)
        for spec in self.specs:
            assert spec.kind in KINDS, spec
            assert spec.summary, spec
            assert spec.api <= API_VERSION, spec
            assert (spec.kind != "sink") or spec.delivery is not None, spec
            config, component = self._load(spec.config), self._load(spec.build)
            assert issubclass(config, ComponentConfig), spec
            assert config.model_fields["type"].default == spec.type, spec
            assert callable(component), spec

    def test_every_code_in_its_source_is_explained(self) -> None:
        """`ktrans explain` knows each code of an error, by this plugin's hook or by ktrans."""
        known = {*self._explained(self.module), *self._explained(_BUILTIN)}
        raised = codes_raised(self.package_folder)
        assert {code: place for code, place in raised.items() if code not in known} == {}

    def test_its_explanations_are_complete(self) -> None:
        """Each code has a cause and a cure in whole sentences, and none is one of ktrans's own."""
        own = self._explained(self.module)
        for code, table in own.items():
            assert set(table) == {"cause", "cure"}, code
            assert all(text.endswith((".", "?")) for text in table.values()), code
        if self.module != _BUILTIN:
            assert not own.keys() & self._explained(_BUILTIN).keys()

    def test_its_log_events_are_well_declared(self) -> None:
        """Names are snake_case and declared once; texts are whole sentences."""
        home = importlib.import_module(self.module)
        modules = home.ktrans_log_events() if hasattr(home, "ktrans_log_events") else []
        events = [
            event
            for module in modules
            for event in vars(importlib.import_module(module)).values()
            if isinstance(event, LogEvent)
        ]
        assert bool(events) == bool(modules)
        assert len(set(events)) == len(events)
        for event in events:
            assert re.fullmatch(r"[a-z][a-z_0-9]*", event), event
            assert event.about.endswith("."), event
            assert all(field.about.endswith(".") for field in event.fields), event

    @property
    def package_folder(self) -> Path:
        """The folder of the plugin's top-level package."""
        package = importlib.import_module(self.module.partition(".")[0])
        assert package.__file__ is not None
        return Path(package.__file__).parent

    @staticmethod
    def _explained(module: str) -> dict[str, dict[str, str]]:
        home = importlib.import_module(module)
        texts = home.ktrans_error_codes() if hasattr(home, "ktrans_error_codes") else []
        tables = [tomllib.loads(text) for text in texts]
        return {k: v for table in tables for k, v in table.items() if k != "title"}

    @staticmethod
    def _load(reference: str) -> type[ComponentConfig]:
        home, _, name = reference.partition(":")
        found: Any = importlib.import_module(home)
        loaded: type[ComponentConfig] = functools.reduce(getattr, name.split("."), found)
        return loaded

    def test_every_component_is_held_to_the_contract_of_its_kind(
        self, request: pytest.FixtureRequest
    ) -> None:
        """Some contract class beside this one names it in `covers`."""
        found = covered(self.beside(request.path))
        missing = {(spec.kind, spec.type) for spec in self.specs} - found
        assert not missing, f"no contract class covers {sorted(missing)}"

    def beside(self, path: Path) -> Path:
        """Return the folder of the plugin's tests, from the path of this one."""
        return path.parent


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
