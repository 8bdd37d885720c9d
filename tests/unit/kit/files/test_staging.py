"""Two runs that publish one epoch at the same time: one of them was fenced amid its commit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ktrans.api import ConfigError, EpochId, TaskId
from ktrans.kit.files.staging import StagedFiles, Staging

FILES = 20


def _stage(staging, task):
    files = StagedFiles(staging, task)
    for number in range(FILES):
        file = files.begin(f"day={number % 3}/{number}.jsonl")
        file.write(b"a row\n")
        file.end(1, {})
    return files.finish()


def test_two_that_publish_one_epoch_do_not_disturb_each_other(tmp_path):
    with ThreadPoolExecutor(2) as threads:
        for number in range(1, 13):
            epoch = EpochId("flows", number, "04722e")
            first, second = Staging(tmp_path, "flows.lines"), Staging(tmp_path, "flows.lines")
            receipt = _stage(first, TaskId(epoch, 0))

            def commit(staging, epoch=epoch, receipt=receipt):
                staging.publish(receipt)
                staging.discard_until(epoch)

            for done in [threads.submit(commit, staging) for staging in (first, second)]:
                done.result()
            published = [path for path in tmp_path.rglob("*.jsonl") if path.is_file()]
            assert len(published) == FILES
            assert not (tmp_path / ".ktrans-staging").exists()
            for path in published:
                path.unlink()


@pytest.mark.parametrize("name", [".ktrans-staging", ".ktrans-staging/p.a"])
def test_a_link_in_the_place_of_the_staging_folder_is_refused(tmp_path, name):
    """Who makes it would choose which files are written and removed."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "p.a" / "00000001-0000.x").mkdir(parents=True)
    (elsewhere / "00000001-0000.x").mkdir()
    root = tmp_path / "out"
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(elsewhere)
    staging = Staging(root, "p.a")
    epoch = EpochId("p", 1)
    for use in (lambda: staging.discard_until(epoch), lambda: _stage(staging, TaskId(epoch, 0))):
        with pytest.raises(ConfigError, match="is a symbolic link") as caught:
            use()
        assert caught.value.code == "staging_unsafe"
    assert (elsewhere / "00000001-0000.x").is_dir()
    assert (elsewhere / "p.a" / "00000001-0000.x").is_dir()
