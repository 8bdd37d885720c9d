"""Finds the components that the contract classes of a test suite test.

Each class lists their types in `covers`. `covered` asks pytest which classes it collects, so that
components without a contract are found.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ktrans.api import Component
from ktrans.api.spec import Kind
from ktrans.testing.contracts.config import check_config

_FILE = "KTRANS_COVERED_FILE"


class Contract:
    """The base of all contracts.

    Attributes:
        kind: what they test.
        covers: the `type` names of the components that this class tests.
    """

    kind: ClassVar[Kind]
    covers: ClassVar[Iterable[str]] = ()


class ComponentContract(Contract):
    """What all components have in common; give a fixture `component`."""

    @pytest.fixture
    def component(self) -> Component[Any]:
        """Return a component that was not used yet; to be overridden."""
        raise NotImplementedError

    def test_options_survive_a_round_trip_and_are_documented(
        self, component: Component[Any]
    ) -> None:
        """The reference page is made of them."""
        check_config(component.config)

    def test_close_is_safe_twice_and_without_use(self, component: Component[Any]) -> None:
        """A pipeline that could not start is closed all the same."""
        component.close()
        component.close()


def covered(*folders: Path) -> set[tuple[Kind, str]]:
    """Return kind and type of all components that contracts in some folders test."""
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "covered.json"
        alone = ["-n0"] if importlib.util.find_spec("xdist") is not None else []
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        done = subprocess.run(  # noqa: S603  # pytest itself
            [
                *(sys.executable, "-m", "pytest", "--collect-only", "-q", *alone),
                *("-p", "no:cacheprovider", "-p", __name__, *map(str, folders)),
            ],
            env={
                **environ,
                _FILE: str(told),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if not told.exists():
            raise AssertionError(f"pytest cannot collect the tests:\n{done.stdout}{done.stderr}")
        return {(kind, name) for kind, name in json.loads(told.read_text())}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write what the collected contracts cover, if `covered` asks for it."""
    if _FILE not in os.environ:
        return
    classes = {item.cls for item in session.items if isinstance(item, pytest.Function) and item.cls}
    found = sorted(
        {(one.kind, name) for one in classes if issubclass(one, Contract) for name in one.covers}
    )
    Path(os.environ[_FILE]).write_text(json.dumps(found))
