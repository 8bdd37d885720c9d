"""Two runs that publish one epoch at the same time: one of them was fenced amid its commit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ktrans.api import EpochId, TaskId
from ktrans.kit.files.staging import StagedFiles, Staging

FILES = 20


def _stage(staging, task):
    files = StagedFiles(staging, task)
    for number in range(FILES):
        file = files.begin(f"day={number % 3}/{number}.jsonl")
        file.write(b"a row\n")
        file.end(1)
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
