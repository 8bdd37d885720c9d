"""The errors that components and their host raise, with exit codes and how the engine reacts.

KtransError
|- UsageError             2   the command line is wrong
|- ConfigError           78   the pipeline file is wrong
|- PluginError           78   a plugin is missing, broken, or offers what another one offers
|- LockedError           75   another run of the pipeline holds the lock
|- StateError            78   the state store cannot serve this pipeline
|  |- FencedError        75   another run has taken over the pipeline
|- RunError              70   something went wrong while rows moved
   |- RetryableError     75   may pass: retried with back-off
   |  |- TruncatedError       the bytes end in the middle; more may still arrive
   |  |- WorkerLostError      the process that ran a task has died
   |- SplitError         65   this split is quarantined, the run goes on
   |  |- RejectError          the split can never be read: it goes to the rejects
   |  |- SplitChangedError    it is not what was planned: planned again next time
   |- AccessError        77   no permission, or bad credentials
   |- UnavailableError   69   host or service not reachable
   |- StageLostError     70   what a task had staged is gone; the epoch is processed again
   |- InterruptedRunError 75  the run was stopped before it was done

>>> from ktrans.api import ConfigError
>>> error = ConfigError("no such table", field="table", hint="create it first")
>>> error.code, int(error.exit_code), error.hint
('config', 78, 'create it first')
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """Exit codes of the process (BSD's sysexits, click's 2, and 3 for a broken rule of `expect`)."""

    OK = 0
    USAGE = 2
    EXPECTATION = 3
    DATA = 65
    UNAVAILABLE = 69
    SOFTWARE = 70
    TRY_LATER = 75
    ACCESS = 77
    CONFIG = 78
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Where:
    """The place of an error: a file, and a 1-based line and column if known.

    `included` is the place of the `include` that named the file, if one did.
    """

    file: str
    line: int | None = None
    column: int | None = None
    snippet: str | None = None
    included: str | None = None

    def __str__(self) -> str:
        """Return `file:line:column`, which editors and terminals can open."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)


class KtransError(Exception):
    """The base of all errors: a message, a stable code, a hint and a place.

    Attributes:
        code: stable snake_case identifier, never reused for another meaning.
        hint: what to do about it, if known.
        where: the file and position, if there is one.
        component: the component that raised it, set by the engine.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.SOFTWARE
    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        where: Where | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.where = where
        self.component: str | None = None


class UsageError(KtransError):
    """The command line asks for something that does not exist or does not fit."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class ConfigError(KtransError):
    """The pipeline file, or something that it names, is wrong.

    `field` names the component's option ("where", "table"); the host turns it into a line and column
    of the pipeline file.
    """

    exit_code = ExitCode.CONFIG
    default_code = "config"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        code: str | None = None,
        hint: str | None = None,
        where: Where | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, where=where)
        self.field = field


class ConfigErrors(ConfigError):
    """Several errors in one pipeline file, listed in `errors`."""

    default_code = "config_errors"

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__(f"{len(errors)} problems in the configuration")
        self.errors = errors


class PluginError(KtransError):
    """A plugin is missing, broken, or in conflict with another one."""

    exit_code = ExitCode.CONFIG
    default_code = "plugin"


class LockedError(KtransError):
    """Another run of the same pipeline is active.

    `until` is when its lease expires unless renewed; None if it lasts as long as its process.
    """

    exit_code = ExitCode.TRY_LATER
    default_code = "locked"

    def __init__(
        self, message: str, *, until: datetime | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.until = until


class StateError(KtransError):
    """The state store is too new, damaged, or belongs to another pipeline."""

    exit_code = ExitCode.CONFIG
    default_code = "state"


def state_is_older(where: str, there: int, now: int) -> StateError:
    """Return the error for a place that has a later epoch than the state knows of.

    Args:
        where: what has it.
        there: the number of the last epoch that it has.
        now: the number of the epoch that comes now.
    """
    return StateError(
        f"{where} has epoch {there} already, and epoch {now} comes now: the state is older than that",
        code="table_ahead",
        hint="if it was restored from a backup, restore the newest one; or run `ktrans state reset`, after"
        " which everything is read again, and remove the rows that are there twice then",
    )


class FencedError(StateError):
    """Another run has taken over the pipeline, as this one's lease expired; it may not write."""

    exit_code = ExitCode.TRY_LATER
    default_code = "state_fenced"


class RunError(KtransError):
    """Something went wrong while rows moved; the run stops, but for the subclasses noted above."""

    default_code = "run"


class RetryableError(RunError):
    """May pass by itself: the engine retries the task with jittered back-off.

    `retry_after_secs` is the wait that the other side asked for (the Retry-After header).
    """

    exit_code = ExitCode.TRY_LATER
    default_code = "try_later"

    def __init__(
        self,
        message: str,
        *,
        retry_after_secs: float | None = None,
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.retry_after_secs = retry_after_secs


class TruncatedError(RetryableError):
    """A compressed stream ends in the middle of a member: more bytes may still arrive."""

    default_code = "truncated"


class WorkerLostError(RetryableError):
    """The process or machine that ran a task is gone; what the task did is not known."""

    default_code = "worker_lost"


class SplitError(RunError):
    """One split cannot be read; it is quarantined and the others go on."""

    exit_code = ExitCode.DATA
    default_code = "split"


class RejectError(SplitError):
    """The split can never be decoded: it is recorded among the rejects and not read again."""

    default_code = "unreadable"


class SplitChangedError(SplitError):
    """The object is not what was planned (replaced, or gone); the next plan lists it again."""

    default_code = "split_changed"


class AccessError(RunError):
    """Permission denied or credentials refused."""

    exit_code = ExitCode.ACCESS
    default_code = "access"


class UnavailableError(RunError):
    """A host or service cannot be reached at all."""

    exit_code = ExitCode.UNAVAILABLE
    default_code = "unavailable"


class StageLostError(RunError):
    """A sink finds neither the staged nor the published form of what a receipt names."""

    default_code = "stage_lost"


class RowsError(RunError):
    """Some rows of a batch can never be written: they become rejects, and the others go on.

    Raised by `Writer.encode` and `Format.encode`. `rows` flags them in the batch that was passed: a
    sequence, numpy or Arrow array of booleans. `code` is the reason of the rejects.
    """

    default_code = "row_not_encodable"

    def __init__(
        self, message: str, *, rows: Any, code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.rows = rows


class InterruptedRunError(RunError):
    """A signal or a limit stopped the run; what is not committed will be processed again."""

    exit_code = ExitCode.TRY_LATER
    default_code = "interrupted"
