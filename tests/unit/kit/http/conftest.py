"""A sink that posts JSON lines, and a server that answers as a test says."""

import pytest

from ktrans.kit.http import sender
from ktrans.testing.http_stub import HttpStub


@pytest.fixture
def stub():
    with HttpStub() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(sender, "FIRST_WAIT_SECS", 0.01)
