"""Every error that ktrans raises on purpose, with its exit code and what the engine does about it.

KtransError
|- UsageError             2   the command line is wrong
|- ConfigError           78   the pipeline file is wrong
|- PluginError           78   a plugin is missing, broken, or claims what another one has
|- LockedError           75   another run of the pipeline holds the lock
|- StateError            78   the state store cannot serve this pipeline
|  |- FencedError        75   another run has taken this one's place
|- RunError              70   something went wrong while rows moved
   |- RetryableError     75   may pass: tried again with back-off
   |  |- TruncatedError       the bytes end in the middle; more may still arrive
   |- SplitError         65   this one split is set aside, the run goes on
   |  |- RejectError          the split can never be read: it goes to the rejects
   |  |- SplitChangedError    it is not what was planned: planned anew next time
   |- AccessError        77   no permission, or bad credentials
   |- UnavailableError   69   host or service not there
   |- RejectLimitError   65   more rejects than the pipeline allows
   |- LedgerError        70   rows in and rows out do not agree
   |- StageLostError     70   what a task had staged is gone; the epoch is processed again
   |- InterruptedRunError 75  the run was told to stop before it was done
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process says on its way out (BSD's sysexits, plus click's 2)."""

    OK = 0
    USAGE = 2
    DATA = 65
    UNAVAILABLE = 69
    SOFTWARE = 70
    TRY_LATER = 75
    ACCESS = 77
    CONFIG = 78
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Where:
    """The place that an error speaks of: a file, and a 1-based line and column if known.

    `included` is the place of the `include` that brought the file in, if one did.
    """

    file: str
    line: int | None = None
    column: int | None = None
    snippet: str | None = None
    included: str | None = None

    def __str__(self) -> str:
        """Give `file:line:column`, as editors and terminals understand it."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)


class KtransError(Exception):
    """The root: a message for people, with a stable code, a hint and a place.

    Attributes:
        code: stable snake_case identifier, never reused for another meaning.
        hint: what to do about it, if that is known.
        where: the file and position, if there is one.
        component: the pipeline's name for the component at fault, set by the engine.
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

    A component that finds its own option at fault names it in `field` ("where", "table"); the host
    turns that into a line and column of the pipeline file.
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
    """Several things wrong with one pipeline file; `errors` holds each of them."""

    default_code = "config_errors"

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__(f"{len(errors)} problems in the configuration")
        self.errors = errors


class PluginError(KtransError):
    """A plugin is missing, broken, or in conflict with another one."""

    exit_code = ExitCode.CONFIG
    default_code = "plugin"


class LockedError(KtransError):
    """Another run of the same pipeline is under way.

    `until` is when its hold on the pipeline runs out by itself unless it is renewed; None if it
    lasts as long as the other process does.
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


class FencedError(StateError):
    """Another run has taken over the pipeline; this one may not write any more.

    It stood still for longer than its hold on the pipeline lasts, or the store did not answer it.
    """

    exit_code = ExitCode.TRY_LATER
    default_code = "state_fenced"


class RunError(KtransError):
    """Something went wrong while rows moved; the run stops unless a subclass says otherwise."""

    default_code = "run"


class RetryableError(RunError):
    """May pass by itself: the engine tries the task again with jittered back-off.

    `retry_after_secs` is what the other side asked for (the Retry-After header), if it did.
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


class SplitError(RunError):
    """One split cannot be read; it is set aside with this reason and the others go on."""

    exit_code = ExitCode.DATA
    default_code = "split"


class RejectError(SplitError):
    """The split can never be decoded: it is recorded among the rejects and not read again."""

    default_code = "unreadable"


class SplitChangedError(SplitError):
    """The object is no longer what was planned (replaced, or gone); the next plan looks again."""

    default_code = "split_changed"


class AccessError(RunError):
    """Permission denied or credentials refused."""

    exit_code = ExitCode.ACCESS
    default_code = "access"


class UnavailableError(RunError):
    """A host or service cannot be reached at all."""

    exit_code = ExitCode.UNAVAILABLE
    default_code = "unavailable"


class RejectLimitError(RunError):
    """More rows were rejected than the pipeline's limit allows: something is misconfigured."""

    exit_code = ExitCode.DATA
    default_code = "reject_limit"


class LedgerError(RunError):
    """Rows in are not rows out plus filtered plus rejected: a defect, never to be ignored."""

    default_code = "ledger"


class StageLostError(RunError):
    """A sink finds neither the staged nor the published form of what a receipt promises."""

    default_code = "stage_lost"


class InterruptedRunError(RunError):
    """A signal or a limit ended the run before it was done; what is not committed is redone."""

    exit_code = ExitCode.TRY_LATER
    default_code = "interrupted"
