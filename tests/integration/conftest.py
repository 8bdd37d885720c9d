"""Real processes over real files: two sites over one corpus of logs."""

import pytest

from tests.integration.sites import Site, write_logs


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site", tmp_path / "logs")


@pytest.fixture
def clean(tmp_path):
    """A second site over the same logs, for the run that nobody disturbs."""
    return Site(tmp_path / "clean", tmp_path / "logs")


@pytest.fixture
def logs(tmp_path):
    def write(first, count, **options):
        write_logs(tmp_path / "logs", first, count, **options)
        return tmp_path / "logs"

    return write
