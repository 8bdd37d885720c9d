"""The hooks that a plugin may implement. Data never goes through a hook; these are the edges.

A plugin is a module named in the entry-point group `ktrans`; its hooks are module functions marked
with `@hookimpl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktrans.api.spec import Spec, hookspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click


@hookspec
def ktrans_components() -> Iterable[Spec]:  # type: ignore[empty-body]
    """List the components that this plugin offers. No I/O, no SDK import; called once."""


@hookspec
def ktrans_add_commands(cli: click.Group) -> None:
    """Add verbs to the command line: `cli.add_command(my_command)`."""


@hookspec(firstresult=True)
def ktrans_resolve_secret(scheme: str, ref: str) -> str | None:
    """Resolve `${scheme:ref}` in a pipeline file, or return None if the scheme is not yours."""


@hookspec
def ktrans_run_started(run: dict[str, object]) -> None:
    """A run begins; `run` has `pipeline`, `run_id`, `config`. Errors here never stop a run."""


@hookspec
def ktrans_epoch_committed(run: dict[str, object], epoch: dict[str, object]) -> None:
    """An epoch was recorded; `epoch` has `id`, `ledger`, `splits`, `seconds`."""


@hookspec
def ktrans_run_finished(run: dict[str, object], receipt: dict[str, object]) -> None:
    """A run ended, well or not; `receipt` is what `--receipt` writes."""
