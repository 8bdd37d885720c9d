"""What every plugin owes the host: it costs nothing until it is used, and all of it is tested."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from ktrans.api import ComponentConfig, Spec
from ktrans.api.spec import API_VERSION, KINDS
from ktrans.testing.contracts.covered import covered

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

_LISTING = """
import importlib, json, sys
sys.path[:0] = {path!r}
module = importlib.import_module({module!r})
specs = getattr(module, "ktrans_components", list)()
for spec in specs if {validating!r} else ():
    home, _, name = spec.config.partition(":")
    getattr(importlib.import_module(home), name)
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
        """Give the packages that a fresh process has imported, but for the plugin's own."""
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

    @staticmethod
    def _load(reference: str) -> type[ComponentConfig]:
        home, _, name = reference.partition(":")
        loaded: type[ComponentConfig] = getattr(importlib.import_module(home), name)
        return loaded

    def test_every_component_is_held_to_the_contract_of_its_kind(
        self, request: pytest.FixtureRequest
    ) -> None:
        """Some contract class beside this one names it in `covers`."""
        found = covered(self.beside(request.path))
        missing = {(spec.kind, spec.type) for spec in self.specs} - found
        assert not missing, f"no contract class covers {sorted(missing)}"

    def beside(self, path: Path) -> Path:
        """Give the folder of the plugin's tests, from the path of this one."""
        return path.parent
