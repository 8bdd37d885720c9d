"""Distributions that exist only in a temporary folder, with real metadata."""

from __future__ import annotations

import importlib.metadata
import sys
from textwrap import dedent

import pytest

from ktrans.registry.catalogue import Catalogue


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution of one module into a temporary folder on sys.path."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(name: str, code: str, version: str = "1.0", point: str | None = None) -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(dedent(code))
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[ktrans]\n{point or name} = {module}\n")
        importlib.invalidate_caches()

    yield install
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


@pytest.fixture
def catalogue():
    """Return a function that makes a catalogue of what is installed at this moment."""

    def make(**environ: str) -> Catalogue:
        return Catalogue(environ=environ)

    return make
