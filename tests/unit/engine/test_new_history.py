"""A pipeline whose state is lost is noticed by the files that it has written."""

import shutil

import pytest

from ktrans.api import AccessError, ExitCode
from tests.unit.engine.log_site import Site


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    assert site.run().error is None
    return site


def lose_the_state(site):
    shutil.rmtree(site.folder / ".ktrans")


def test_files_of_a_lost_state_stop_the_run_until_it_is_told_to_begin_anew(site):
    lose_the_state(site)
    for _ in range(2):
        receipt = site.run()
        assert receipt.error["code"] == "state_lost"
        assert receipt.exit_code == ExitCode.CONFIG
        assert f"{site.folder}/lake/" in receipt.error["message"]
        assert "--new-history" in receipt.error["hint"]
        assert site.rows("lake") == site.all()
    assert site.run(new_history=True).error is None
    assert site.rows("lake") == site.all() + site.all()
    assert site.run().outcome == "nothing_to_do"


def test_after_a_reset_nothing_has_to_be_said(site):
    from click.testing import CliRunner

    from ktrans.cli.root import cli

    done = CliRunner().invoke(cli, ["state", "reset", str(site.path), "--yes"])
    assert done.exit_code == 0
    assert site.run().error is None
    assert site.rows("lake") == site.all() + site.all()


def test_files_of_other_pipelines_and_sinks_are_no_sign(site):
    lose_the_state(site)
    site.original["name"] = "q"
    for sink in site.original["sinks"]:
        sink["id"] += "-too"
    site.write(site.original)
    assert site.run().error is None


def test_a_dry_run_changes_nothing_and_is_not_stopped(site):
    lose_the_state(site)
    assert site.run(dry_run=True).error is None


def test_a_place_that_may_be_written_but_not_listed_counts_as_empty(site, monkeypatch):
    lose_the_state(site)

    def published(_self):
        raise AccessError("no permission to list")

    monkeypatch.setattr("ktrans.sinks.file.FileSink.published", published)
    assert site.run().error is None
