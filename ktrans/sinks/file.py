"""Files in partitioned folders, exactly once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ktrans.api import Dataset, EpochId, TaskId
from ktrans.kit.files.partitioned_sink import PartitionedSink, PartitionedSinkConfig
from ktrans.kit.files.path_template import STAGING
from ktrans.kit.files.staging import StagedFiles, Staging, check_writable, os_errors


class FileSinkConfig(PartitionedSinkConfig, type="file"):
    """Options of the file sink."""


class FileSink(PartitionedSink[FileSinkConfig]):
    """Writes files below one folder, each complete or not there at all.

    A task's files wait in `.ktrans-staging` below that folder and are renamed at the commit. After
    a crash during a commit some files of the epoch are visible and the others staged; the next run
    completes the commit.
    """

    stages = "shared_path"

    @cached_property
    def staging(self) -> Staging:
        """Where unfinished files wait."""
        root = self.context.path(self.template.root).resolve()
        return Staging(root, self.owner)

    @property
    def folder(self) -> Path:
        """The folder that all files are below."""
        return self.staging.root

    def datasets(self) -> list[Dataset]:
        """Return the folder."""
        return [Dataset("file", str(self.context.path(self.template.root).resolve()))]

    def table_root(self) -> str:
        """Return the folder."""
        return str(self.folder)

    def check_place(self) -> None:
        """Check that the folder can be written, without making it."""
        check_writable(self.staging.root)

    def published(self) -> Iterator[str]:
        """Yield the paths of this sink's files."""
        for folder, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if name != STAGING)
            yield from (f"{folder}/{name}" for name in names if self.owns(name))

    def discard_until(self, epoch: EpochId) -> None:
        """Remove the staged files of attempts at this epoch and at earlier ones."""
        self.staging.discard_until(epoch)

    def staging_area(self, task: TaskId) -> StagedFiles:
        """Return a folder in staging for this attempt."""
        return StagedFiles(self.staging, task)

    def publish(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Rename the staged files to their final names.

        Raises:
            StageLostError: a file is neither staged nor published.
        """
        self.staging.publish(files)

    @property
    def withdraws(self) -> bool:
        """Whether `withdraw` removes anything: not files that a table names."""
        return self.config.table is None

    def withdraw(self, epochs: Sequence[EpochId]) -> int:
        """Remove the files of these epochs."""
        count = 0
        if not self.withdraws:
            return count
        with os_errors(self.folder):
            for folder, _, names in os.walk(self.folder):
                for name in names:
                    if self.written_by(name, epochs):
                        Path(folder, name).unlink(missing_ok=True)
                        count += 1
        return count
