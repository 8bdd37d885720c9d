"""Staged files on a local disk: hidden until they are complete, then renamed to their final names.

An attempt at a task writes below `<root>/.ktrans-staging/<owner>/<task>.<attempt>/`; publishing renames
its files, which is atomic within a file system. The owner is the pipeline and the sink, so that several
of them can share a root. The attempt is random: two that write at the same time, in one process or in
several, use none of each other's files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ktrans.api import AccessError, ConfigError, EpochId, RetryableError, StageLostError, TaskId
from ktrans.kit.disk import DISK_FULL
from ktrans.kit.files.durable import BackgroundSyncs, sync_folder, sync_folders, sync_tree
from ktrans.kit.files.path_template import STAGING

MAKES = 100
"""How often to try to make a folder whose parents others may remove meanwhile."""

_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_MISPLACED = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


class Staging:
    """The staging folder of one sink of one pipeline.

    Args:
        root: the folder that final names are below.
        owner: names the sink among those that share the root; fit for a file name.
    """

    def __init__(self, root: Path, owner: str) -> None:
        self.root = root
        self._base = root / STAGING / owner

    def folder(self, task: TaskId) -> Path:
        """Return a new folder for the unfinished files of one attempt at a task, without making it."""
        return self._base / f"{task}.{secrets.token_hex(4)}"

    def path(self, folder: Path, relative: str) -> Path:
        """Return the path of an unfinished file of an attempt, after making its folder."""
        path = folder / relative
        self._check_links()
        new = [above for above in (self.root, *self.root.parents) if not above.exists()]
        for attempt in range(MAKES):
            # Another task that gives up may remove the folders above between two steps of this.
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                break
            except FileNotFoundError as error:
                if attempt == MAKES - 1:  # some file systems, such as /proc, say this for never
                    raise AccessError(
                        f"no folder can be made below {self.root}: {error.strerror}",
                        hint="take another folder for the sink's path",
                    ) from error
        for made in new:
            sync_folder(made.parent)
        return path

    def discard(self, folder: Path) -> None:
        """Remove what an attempt has staged."""
        with os_errors(self._base):
            _remove(folder)
            self._tidy()

    def discard_until(self, epoch: EpochId) -> None:
        """Remove the staged files of this epoch and of earlier ones of its history."""
        self._check_links()
        with os_errors(self._base):
            for entry in _entries(self._base):
                history, number = _whose(entry.name)
                if history == epoch.history and 0 < number <= epoch.number:
                    _remove(entry)
            self._tidy()

    def publish(self, files: Iterable[Mapping[str, Any]]) -> None:
        """Rename staged files to their final names, durably. Doing it again changes nothing.

        Args:
            files: each with `staged` and `final` (absolute paths) and `bytes`.

        Raises:
            StageLostError: a file is neither staged nor, in its size, published. Nothing has been
                renamed then, unless something removed the file meanwhile.
        """
        waiting: list[tuple[Path, Path, int]] = []
        folders: set[Path] = set()
        for file in files:
            staged, final = Path(file["staged"]), Path(file["final"])
            folders.update(_below(self.root, final.parent))
            if _size(staged) == file["bytes"]:
                waiting.append((staged, final, file["bytes"]))
            elif _size(staged) is not None or _size(final) != file["bytes"]:
                raise _lost(staged, final, file["bytes"])
        for staged, final, size in waiting:
            with os_errors(final):
                final.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.replace(staged, final)  # noqa: PTH105  # an existing file is replaced
                except FileNotFoundError:
                    # A run that was fenced amid its commit goes on with it, beside this one.
                    if _size(final) != size:
                        raise _lost(staged, final, size) from None
        sync_folders(sorted(folders))

    def _check_links(self) -> None:
        """Check that the folder is no link, by which others would choose what is written and removed.

        Raises:
            ConfigError: it is.
        """
        for folder in (self._base.parent, self._base):
            if folder.is_symlink():
                raise ConfigError(
                    f"{folder} is a symbolic link: unfinished files would be written elsewhere",
                    code="staging_unsafe",
                    hint="remove the link; to use another disk, make the sink's own folder a link",
                )

    def _tidy(self) -> None:
        """Remove the staging folders themselves, as far as they are empty."""
        for folder in (self._base, self._base.parent):
            try:
                folder.rmdir()
            except OSError:
                return


class StagedFiles:
    """The staging area of one attempt at a task: a folder below the staging folder."""

    held_bytes = 0

    def __init__(self, staging: Staging, task: TaskId) -> None:
        self._staging = staging
        self._folder = staging.folder(task)
        self._syncs = BackgroundSyncs()
        self.done: list[dict[str, Any]] = []

    def begin(self, relative: str) -> _StagedFile:
        """Create a file and its folders."""
        staged = self._staging.path(self._folder, relative)
        final = self._staging.root / relative
        try:
            return _StagedFile(self, staged, final)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            self._syncs.wait()  # which closes files
            return _StagedFile(self, staged, final)

    def ended(self, file: BinaryIO, description: dict[str, Any]) -> None:
        """Take over a file that is complete: make it durable and close it."""
        self._syncs.add(file)
        self.done.append(description)

    def spill_folder(self) -> Path:
        """Return the attempt's folder."""
        return self._staging.path(self._folder, "spilled").parent

    def finish(self) -> list[dict[str, Any]]:
        """Make contents and names durable."""
        self._syncs.wait()
        if self.done:
            sync_tree(self._folder)
        return self.done

    def abort(self) -> None:
        """Remove the attempt's folder."""
        self._syncs.stop()
        self.done.clear()
        self._staging.discard(self._folder)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of the system into errors that name the folder."""
        with os_errors(self._folder):
            yield


class _StagedFile:
    def __init__(self, area: StagedFiles, staged: Path, final: Path) -> None:
        self._area = area
        self._staged = staged
        self._final = final
        self._file: BinaryIO = staged.open("wb", buffering=1 << 20)
        self.write = self._file.write

    def end(self, rows: int, more: Mapping[str, Any]) -> None:
        self._file.flush()
        description = {
            "staged": str(self._staged),
            "final": str(self._final),
            "rows": rows,
            "bytes": self._file.tell(),
            **more,
        }
        self._area.ended(self._file, description)

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


def _whose(name: str) -> tuple[str, int]:
    """Return the history and number of the epoch in the name of a task's staging folder."""
    epoch = name.rpartition("-")[0]
    history, _, number = epoch.rpartition("-")
    return history, int(number) if number.isdecimal() else 0


@contextlib.contextmanager
def os_errors(path: Path | str) -> Iterator[None]:
    """Turn errors of the system into errors that name the path and a remedy.

    Raises:
        RetryableError: the disk or the quota is full.
        AccessError: permission denied, or a read-only file system.
        ConfigError: a file stands where a folder should be, or the other way round, or a name is
            too long.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in DISK_FULL:
            raise RetryableError(
                f"no space left on the device of {where}",
                code="disk_full",
                hint="free some space, or point the sink to a larger disk",
            ) from error
        if error.errno in _DENIED:
            raise AccessError(
                f"not allowed to write {where}: {error.strerror}",
                hint="let the user that runs ktrans write there, or take another folder",
            ) from error
        if error.errno in _MISPLACED:
            raise ConfigError(
                f"cannot write {where}: {error.strerror}",
                code="path_taken",
                hint="change the path: names must be shorter than 255 bytes, and not those of what"
                " is there already",
            ) from error
        raise


def check_writable(folder: Path) -> None:
    """Check that a folder can be written, or made if it is missing; changes nothing.

    Raises:
        ConfigError: something that is not a folder is in the way.
        AccessError: permission denied.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ConfigError(f"{existing} is not a folder", code="path_taken", hint="change the path")
    effective = os.access in os.supports_effective_ids
    if not os.access(existing, os.W_OK | os.X_OK, effective_ids=effective):
        raise AccessError(
            f"not allowed to write in {existing}",
            hint="let the user that runs ktrans write there, or take another folder",
        )


def _below(root: Path, folder: Path) -> Iterator[Path]:
    """Yield the folder and those above it, up to the root."""
    yield folder
    while folder not in {root, folder.parent}:
        folder = folder.parent
        yield folder


def _lost(staged: Path, final: Path, size: int) -> StageLostError:
    return StageLostError(
        f"{final} was staged as {staged}, but neither is there in its size of {size} bytes",
        hint="something else removes files there; the epoch is processed again",
    )


def _size(path: Path) -> int | None:
    """Return the size of a regular file in bytes; None if there is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = path.stat()
        return found.st_size if stat.S_ISREG(found.st_mode) else None
    return None


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove(path: Path) -> None:
    """Remove a file or a folder, which another process may be removing as well."""
    while path.is_dir() and not path.is_symlink():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)
    path.unlink(missing_ok=True)
