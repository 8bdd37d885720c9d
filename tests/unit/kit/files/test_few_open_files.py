"""A task goes on with few open files when the system allows no more."""

import resource
from pathlib import Path

from ktrans.api import EpochId, TaskId
from ktrans.kit.files.staging import StagedFiles, Staging


def test_files_that_wait_for_the_disk_give_way(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    area = StagedFiles(Staging(tmp_path, "x.lake"), TaskId(EpochId("x", 1), 0))
    with area.errors():
        area.begin("warm-up").end(0, {})
        area.finish()
        with Path("/dev/null").open("rb") as probe:
            resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno() + 8, hard))
        try:
            for at in range(100):
                area.begin(f"{at}").end(at, {})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(area.finish()) == 101
    area.abort()
