"""Answers of workers as JSON: what a task has staged, or the error that ended it, and what happened."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import msgspec

from ktrans.api import ConfigError, ConfigErrors, ExitCode, KtransError, RunError, Where, errors
from ktrans.engine.failures import to_ktrans_error
from ktrans.engine.task import TaskResult
from ktrans.state.epochs import Quarantine

_PLAIN = (str, int, float, bool)


@dataclass(slots=True)
class Retry:
    """A failure that was retried, as `Observer.retrying` gets it."""

    what: str
    attempt: int
    wait_secs: float
    error: dict[str, Any]


@dataclass(slots=True)
class Answer:
    """What became of a job.

    Attributes:
        result: what the task has staged; None if it failed.
        error: why it failed.
        quarantined: splits that it found to be unreadable.
        counts: what to add to the counters of the run.
        report: what `ktrans_task_finished` gets.
        retries: what was retried meanwhile.
        choices: what `auto` chose for which object, since the worker's last answer.
    """

    result: TaskResult | None = None
    error: dict[str, Any] | None = None
    quarantined: list[Quarantine] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    report: dict[str, Any] | None = None
    retries: list[Retry] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Answer:
        """Rebuild an answer from `to_json`."""
        return msgspec.convert(value, cls)


def error_to_json(error: BaseException) -> dict[str, Any]:
    """Return an error in a form from which `error_from_json` makes an equal one."""
    converted = to_ktrans_error(error)
    known = next(kind for kind in type(converted).__mro__ if kind.__module__ == errors.__name__)
    return {
        "type": known.__name__,
        "exit_code": int(converted.exit_code),
        "fields": {
            name: value if isinstance(value, _PLAIN) else None
            for name, value in vars(converted).items()
        },
        "where": asdict(converted.where) if converted.where else None,
        "errors": [error_to_json(one) for one in parts_of(converted)],
        "trace": "".join(traceback.format_exception(error)) if converted.code == "defect" else "",
    }


def parts_of(error: KtransError) -> list[ConfigError]:
    """Return the errors that an error lists, if it does."""
    return error.errors if isinstance(error, ConfigErrors) else []


def error_from_json(value: dict[str, Any]) -> KtransError:
    """Return the error of another process: of the same class of `ktrans.api`, with the same fields."""
    kind = getattr(errors, value["type"], RunError)
    error: KtransError = kind.__new__(kind)
    KtransError.__init__(error, value["fields"]["message"])
    vars(error).update(value["fields"])
    error.where = Where(**value["where"]) if value["where"] else None
    if isinstance(error, ConfigErrors):
        error.errors = [cast("ConfigError", error_from_json(one)) for one in value["errors"]]
    if error.exit_code != value["exit_code"]:
        vars(error)["exit_code"] = ExitCode(value["exit_code"])
    if value["trace"]:
        error.add_note(f"in a worker:\n{value['trace']}")
    return error
