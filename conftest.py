"""What holds for all tests, those of the plugins included: fixtures of real servers, the log.

With KTRANS_NATIVE=1 what tests decode and encode in their own process is done by the native code.
"""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from ktrans.api import Accelerator
from ktrans.kit.accelerate import accelerated
from ktrans.registry import redaction

# How fast examples are made depends on what else the machine does.
settings.register_profile("ktrans", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("ktrans")

pytest_plugins = ["tests.services.fixtures"]

# A failure of what these assert says what was compared.
pytest.register_assert_rewrite("tests.integration.sites")


@pytest.fixture(autouse=True)
def secrets_as_they_were() -> Iterator[None]:
    """Secrets are those of a process; what one test learns must not be masked in another."""
    process = vars(redaction._process)  # noqa: SLF001  # nothing else forgets a secret
    known = set(process["_known"])
    yield
    process.update(_known=known, _pattern=None)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The command line sets logging up for its process; a test must not inherit that."""
    root, ours = logging.getLogger(), logging.getLogger("ktrans")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = [handler for handler in root.handlers if handler in handlers]
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture(autouse=True)
def accelerator_as_it_was() -> Iterator[None]:
    """A run uses native code from then on; another test must not."""
    with accelerated(native()):
        yield


@pytest.fixture
def python_alone(accelerator_as_it_was: None) -> Iterator[None]:  # noqa: ARG001  # set up before
    """What a test says of the readers in Python holds for these."""
    with accelerated(None):
        yield


def native() -> Accelerator | None:
    """Return the native code that all tests shall use, if so."""
    if os.environ.get("KTRANS_NATIVE") != "1":
        return None
    from ktrans_native.accelerator import NativeAccelerator

    return NativeAccelerator()
