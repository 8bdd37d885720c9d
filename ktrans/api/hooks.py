"""The hooks that a plugin may implement. Rows never pass through a hook.

A plugin is a module named in the entry-point group `ktrans`; its hooks are module functions marked
with `@hookimpl`. A hook may take fewer arguments than it is offered.

The hooks from `ktrans_run_opened` on observe a run. An error in one is logged and stops nothing.
They are called in the process of the run, in the threads that do the work, `ktrans_task_finished` and
`ktrans_retrying` in several at once, and the run waits for them: be quick, and do slow work in a
thread of your own. What happens to a task in another process is told when that task has ended.
Their arguments are plain data (texts, numbers, lists, dicts) without secrets, shared by all
plugins: do not change them. Later versions may add keys.

Times named `began`, `ended` and `at` are seconds since 1970, on a clock that never decreases.

    run      pipeline     the pipeline's name
             run_id       as in the receipt and the log
             config       the pipeline file as the user named it
             version      of ktrans
             started      ISO 8601, and `began`, when it began
             dry_run, replay, follow, workers
             decoder      its type; `enrichers`, their types
             inputs       for the source: component, kind, type, namespace, name
             outputs      for each sink, and the rejects last: the same, and
                          delivery; columns, each with name, type and description

`namespace` and `name` are those of `ktrans.api.Dataset`, None where a component has none.

>>> from ktrans.api import hookimpl
>>> @hookimpl
... def ktrans_epoch_committed(run, epoch):
...     print(run["pipeline"], epoch["id"], epoch["seconds"])
>>> ktrans_epoch_committed({"pipeline": "flows"}, {"id": 7, "seconds": 1.5})
flows 7 1.5
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktrans.api.spec import Spec, hookspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import click

    from ktrans.api.accelerator import Accelerator


@hookspec
def ktrans_components() -> Iterable[Spec]:  # type: ignore[empty-body]
    """List the components that this plugin offers. No I/O, no SDK import; called once."""


@hookspec
def ktrans_error_codes() -> Iterable[str]:  # type: ignore[empty-body]
    """Explain this plugin's error codes and reject reasons, for `ktrans explain`.

    Each text is TOML: optionally `title`, the heading in lists, then a table for each code, with
    `cause` (what it means) and `cure` (what to do about it), both in whole sentences. Usually one
    file: `return [files(__name__).joinpath("codes.toml").read_text()]`.
    """


@hookspec
def ktrans_log_events() -> Iterable[str]:  # type: ignore[empty-body]
    """Name the modules that declare this plugin's log events (`ktrans.api.LogEvent`).

    They are imported only when a user asks for the list of events.
    """


@hookspec
def ktrans_known_types() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Map component types to the distribution that has them, for the hint "install ...".

    For types of plugins that may be missing: a family of plugins can name its other members.
    """


@hookspec
def ktrans_add_commands(cli: click.Group) -> None:
    """Add verbs to the command line: `cli.add_command(my_command)`."""


@hookspec(firstresult=True)
def ktrans_resolve_secret(scheme: str, ref: str) -> str | None:
    """Resolve `${scheme:ref}` in a pipeline file, or return None if the scheme is not yours."""


@hookspec
def ktrans_accelerator() -> Accelerator | None:
    """Return native code for the hot path; None if it cannot be used here."""


@hookspec
def ktrans_run_opened(run: dict[str, object]) -> None:
    """A run has built its components and will ask for its lock; `run` is described above.

    The first call of a run. `ktrans_run_finished` follows in any case.
    """


@hookspec
def ktrans_run_started(run: dict[str, object]) -> None:
    """A run holds its lock and is about to plan."""


@hookspec
def ktrans_epoch_started(run: dict[str, object], epoch: dict[str, object]) -> None:
    """An epoch is about to be processed.

    `epoch` has `id`; `began`; `planned` (ISO 8601); `tasks`, `splits` and `input_bytes` that are to
    be read; `resumed`: an earlier run left it behind; `status`: `planned`, or `committing` if that
    run had staged all of it, so that no task runs; `replay`: it reads stored rejects.
    """


@hookspec
def ktrans_task_finished(run: dict[str, object], task: dict[str, object]) -> None:
    """A task of an epoch ended, with success or not. Several at once.

    If results of the tasks are merged, one more task does that: its index is the highest, and it reads
    nothing.

    `task` has `epoch`, `index`, `began`, `ended`, `attempts`, `splits`, `input_bytes`, `records`,
    `rows`, `rejects`; `stages`, of the last attempt, each with `stage` (read, decode, enrich,
    encode, write, finish), `component`, `began` (of the first call), `ended` (of the last),
    `busy_secs` (in between, added up over all threads) and `calls`; `retries`, each with `at`,
    `attempt`, `wait_secs`, `code`, `type` and `message`; `error`, None or `code`, `type`, `message`.
    """


@hookspec
def ktrans_retrying(run: dict[str, object], retry: dict[str, object]) -> None:
    """Something failed and will be retried after a wait.

    `retry` has `what`, `at`, `attempt`, `wait_secs`, `code`, `type`, `message`, and `epoch` and
    `task`, both None while the source is listed.
    """


@hookspec
def ktrans_epoch_committed(run: dict[str, object], epoch: dict[str, object]) -> None:
    """An epoch was recorded.

    `epoch` has `id`, `ledger`, `splits`, `input_bytes`, `seconds`, `began`, `ended`; `sinks`, by
    id, each with `rows`, `bytes` and `outputs`; `quarantined`; `stages`: the commit of each sink, as
    in `ktrans_task_finished`.
    """


@hookspec
def ktrans_caught_up(run: dict[str, object]) -> None:
    """The source has nothing new; a run that follows it asks again later."""


@hookspec
def ktrans_run_finished(run: dict[str, object], receipt: dict[str, object]) -> None:
    """A run ended, with success or not; `receipt` is what `--receipt` writes."""
