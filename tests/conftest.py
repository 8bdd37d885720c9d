"""What holds for all tests."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def as_user():
    """Return a folder, to someone who is bound by permissions, even if root runs the tests."""
    before, folder = os.geteuid(), Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    if before == 0:
        os.chown(folder, 65_534, 65_534)
        os.seteuid(65_534)
    yield folder
    os.seteuid(before)
    shutil.rmtree(folder)
