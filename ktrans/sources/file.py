"""The `file` source: files by path, folder and glob, read once, and followed while they grow."""
# ruff: noqa: PTH100

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from math import inf
from typing import Annotated, Any, Literal

from pydantic import Field

from ktrans.api import (
    Budget,
    ComponentConfig,
    Dataset,
    Memory,
    Plan,
    RetryableError,
    Source,
    Split,
    SplitChangedError,
    UsageError,
    WritesFolder,
)
from ktrans.kit.text.magic import is_whole
from ktrans.kit.time_range import TimeRange
from ktrans.kit.units import Duration
from ktrans.sources.files.ends import complete_end
from ktrans.sources.files.known_files import (
    Known,
    compare,
    count_lines,
    fingerprints,
    quick,
)
from ktrans.sources.files.listing import Found, Listed, fixed_part, list_files, to_key
from ktrans.sources.files.own_outputs import OwnOutputs
from ktrans.sources.files.payload import FilePayload
from ktrans.sources.files.plan_result import PlanResult

_CHUNK = 5_000
_Path = Annotated[str, Field(min_length=1)]


class FileSourceConfig(TimeRange, ComponentConfig, type="file"):
    """Files by path, folder and glob.

    Names that begin with a dot, and names that end in .tmp, .part or .inprogress, are skipped
    unless they are named in full. Symbolic links are followed, but a folder is not entered from
    within itself, and a link to a file that is listed under its own name is ignored.
    Of several links to one file the first is read, and a note names the others. Hard links are
    files of their own, like copies: each is read.
    A file that is renamed is a new file: let a glob match either the live log or the rotated ones.
    """

    paths: _Path | Annotated[list[_Path], Field(min_length=1)] = Field(
        description="Files, folders and globs, one or a list, relative to the pipeline file's "
        "folder. `*` stays within a folder, `**` stands for any number of folders; a glob matches "
        "files, or folders if it ends with a slash.",
        examples=[["logs/", "archive/**/*.log.gz"], "flows.log"],
    )
    recursive: bool = Field(
        default=True,
        description="Whether a folder stands for all below it, or only for the files right in it.",
        examples=[False],
    )
    exclude: list[_Path] = Field(
        default=[],
        description="Globs of what to skip. A glob without a slash is compared with the names of files "
        "and folders, one with a slash with whole paths.",
        examples=[["*.md5", "archive/2019"]],
    )
    order: Literal["path", "time"] = Field(
        default="path",
        description="Read in the order of the paths, or of the times of last change.",
        examples=["time"],
    )
    min_age: Duration = Field(
        default=0,
        ge=0,
        description="A file that was changed more recently than this waits.",
        examples=[30],
    )
    follow_growth: bool = Field(
        default=True,
        description="Plain text that got longer is read on from where the last run stopped. "
        "Otherwise, and for compressed files and Parquet, a longer file counts as replaced.",
        examples=[False],
    )
    tail_wait: Duration = Field(
        default=5,
        ge=0,
        description="A last line without a line end waits until the file has not changed for this "
        "long; then it is read as it is. JSON that is complete does not wait. Only with "
        "`follow_growth`.",
        examples=[0],
    )
    on_replaced: Literal["reread", "skip", "error"] = Field(
        default="reread",
        description="What to do with a file that was read before and now has other content: read "
        "it again from its start, skip it, or stop the run.",
        examples=["error"],
    )


class FileSource(Source[FileSourceConfig]):
    """Lists files, distinguishes new, known, grown and replaced ones, and opens them."""

    reads = "shared_path"

    _outputs: OwnOutputs | None = None

    def exclude_outputs(self, outputs: Sequence[WritesFolder]) -> None:
        """Skip what the pipeline itself writes."""
        self._outputs = OwnOutputs(outputs, self._paths()) if outputs else None

    def check(self) -> None:
        """Check whether everything named can be listed."""
        self._list()

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """List the files and take what is new, up to the budget.

        Reads only the ends of files and, of grown ones, what is needed to count lines.
        """
        listed = self._list()
        now_ns = time.time_ns()
        result = PlanResult()
        if self._outputs is not None:
            result.own = self._outputs.drop(listed.files)
        for found, known in self._recalled(self._ordered(listed, position), memory):
            if found.size == 0 or quick(found, known) == "same":
                continue
            if budget.skip and to_key(found.path) in budget.skip:
                continue
            if self.config.min_age > 0 and now_ns - found.mtime_ns < self.config.min_age * 1e9:
                result.unsettled.append(found.path)
            elif budget.full(len(result.splits), result.planned_bytes):
                result.defer(found, known)
            else:
                self._examine(found, known, now_ns, result)
        notes = (*listed.notes, *result.notes(reread=self.config.on_replaced == "reread"))
        left = tuple(result.left())
        if not result.splits and not notes and not left:
            return None
        return Plan(
            splits=tuple(result.splits),
            position=position,
            remember=result.remember,
            total_bytes=result.planned_bytes + result.waiting_bytes,
            total_splits=len(result.splits) + result.waiting,
            notes=notes,
            left=left,
        )

    def open(self, split: Split) -> FilePayload:
        """Open a planned file, or range of a file."""
        return FilePayload(split)

    def position_from(self, text: str) -> Any:
        """Accept an ISO time, which is another `since`, or a path (files that sort after it).

        Raises:
            UsageError: the text is neither.
        """
        try:
            since = datetime.fromisoformat(text)
        except ValueError:
            path = self._absolute(text)
            if "/" in text or os.path.lexists(path):
                return {"after": to_key(path)}
            raise UsageError(
                f"the file source cannot start from {text!r}",
                hint="give a time such as 2026-05-01T00:00:00Z, or the path of the file after which to start",
            ) from None
        return {"since": (since if since.tzinfo else since.replace(tzinfo=UTC)).isoformat()}

    def _list(self) -> Listed:
        config = self.config
        exclude = [
            text if text.startswith("**/") or "/" not in text.rstrip("/") else self._absolute(text)
            for text in config.exclude
        ]
        return list_files(self._paths(), recursive=config.recursive, exclude=exclude)

    def datasets(self) -> list[Dataset]:
        """Return the files and folders, and of a glob the folder that it begins with."""
        return [Dataset("file", fixed_part(path)) for path in self._paths()]

    def _paths(self) -> list[str]:
        paths = self.config.paths
        return [self._absolute(text) for text in ([paths] if isinstance(paths, str) else paths)]

    def _absolute(self, text: str) -> str:
        path = os.path.abspath(self.context.path(text))
        return path + "/" if text.endswith("/") and path != "/" else path

    def _ordered(self, listed: Listed, position: Any) -> list[Found]:
        files = list(listed.files.values())
        since, until = self.config.bounds
        if position and "since" in position:
            start = datetime.fromisoformat(position["since"])
            since = max(since, start) if since else start
        elif position and "after" in position:
            files = [found for found in files if to_key(found.path) > position["after"]]
        if since or until:
            files = self._between(files, since, until)
        if self.config.order == "time":
            return sorted(files, key=lambda found: (found.mtime_ns, found.path))
        return sorted(files, key=lambda found: found.path)

    def _between(
        self, files: list[Found], since: datetime | None, until: datetime | None
    ) -> list[Found]:
        """Return the files of a time: by the day that their path has below `paths`, or by their last change."""
        from ktrans.kit.objects.days import day_of

        first, last = since.date() if since else date.min, until.date() if until else date.max
        first_ns = since.timestamp() * 1e9 if since else -inf
        last_ns = until.timestamp() * 1e9 if until else inf
        bases = sorted(map(fixed_part, self._paths()), key=len, reverse=True)

        def within(found: Found) -> bool:
            base = next(base for base in bases if found.path.startswith(base))
            day = day_of(found.path, len(base))
            if day is not None:
                return first <= day <= last
            return first_ns <= found.mtime_ns <= last_ns

        return list(filter(within, files))

    @staticmethod
    def _recalled(files: list[Found], memory: Memory) -> Iterator[tuple[Found, Known | None]]:
        for begin in range(0, len(files), _CHUNK):
            chunk = files[begin : begin + _CHUNK]
            keys = [to_key(found.path) for found in chunk]
            values = memory.recall(keys)
            for found, key in zip(chunk, keys, strict=True):
                value = values.get(key)
                yield found, Known(**value) if value else None

    def _examine(self, found: Found, known: Known | None, now_ns: int, result: PlanResult) -> None:
        """Read a file's ends and add what is to be read of it to the plan."""
        try:
            fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except PermissionError:
            # Planned nevertheless: opening it raises the error that names it.
            result.add(found, 0, found.size, Known(0, 0, 0, "", "", whole=True), head=None)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            raise RetryableError(f"cannot open {found.path}: {error.strerror}") from error
        try:
            self._take(fd, found, known, now_ns, result)
        finally:
            os.close(fd)

    def _take(
        self, fd: int, found: Found, known: Known | None, now_ns: int, result: PlanResult
    ) -> None:
        follow = self.config.follow_growth
        change = quick(found, known)
        if change is None and known is not None:
            change = compare(fd, found, known, follow=follow)
        if change == "same":
            return
        if change == "replaced" and known is not None and known.rejected and not known.counted:
            change = "new"  # nothing of it has been read
        if change == "replaced":
            self._replaced(found, result)
            if self.config.on_replaced == "skip":
                return
        start = lines = 0
        if change == "grown" and known is not None:
            start, lines = self._begin(fd, found, known, result)
        whole = not follow or is_whole(os.pread(fd, 8, 0))
        end = found.size
        wait = self.config.tail_wait
        young = wait > 0 and now_ns - found.mtime_ns < wait * 1e9
        if not whole and young and (end := complete_end(fd, start, end)) < found.size:
            result.tails.append(found.path)
        again = change == "grown" and known is not None and known.rejected
        if end <= max(start, known.size if known is not None and again else 0):
            return
        head, tail = fingerprints(fd, end)
        state = Known(end, found.inode, found.mtime_ns, head, tail, whole, start, lines)
        result.add(found, start, end, state, head=head, rejected=again)

    @staticmethod
    def _begin(fd: int, found: Found, known: Known, result: PlanResult) -> tuple[int, int]:
        """Return where to continue in a file that grew, and the number of lines before that."""
        if known.rejected:
            return known.counted, known.lines
        start = known.size
        if os.pread(fd, 1, start - 1) != b"\n":
            if os.pread(fd, 1, start) == b"\n":
                start += 1
            else:
                result.torn.append(found.path)
        return start, known.lines + count_lines(fd, known.counted, start)

    def _replaced(self, found: Found, result: PlanResult) -> None:
        if self.config.on_replaced == "error":
            raise SplitChangedError(
                f"{found.path} was read before and now has other content",
                code="file_replaced",
                hint="`on_replaced: reread` reads it again, `skip` ignores it",
            )
        result.replaced.append(found.path)
