"""The tests of the native code: skipped where it is not built, unless KTRANS_REQUIRE_SERVICES names it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.services.fixtures import missing

BUILT = importlib.util.find_spec("ktrans_native") is not None


class NotBuilt(pytest.File):
    """Stands for a module of tests, which cannot be imported."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return one test, which says what is missing."""
        yield pytest.Function.from_parent(self, name="test_it_is_built", callobj=say_it_is_missing)


def say_it_is_missing() -> None:
    missing("native", "the native code is not built: `make native`")


@pytest.fixture(autouse=True)
def native_code_never_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A failure only leaves the work to Python, so that results would be equal: it is in the log."""
    yield
    failed = [record.getMessage() for record in caplog.get_records("call")]
    assert not [message for message in failed if message.startswith("ktrans-native")]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path, parent) -> pytest.File | None:
    return None if BUILT else NotBuilt.from_parent(parent, path=module_path)
