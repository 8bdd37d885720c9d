"""How a command ends: its exit code, and errors as text or JSON."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Literal

import click

from ktrans.kit.cli import printable, show_json
from ktrans.kit.disk import DISK_FULL, drop_stdout
from ktrans.kit.memory import CODE, HINT, out_of_memory

if TYPE_CHECKING:
    from ktrans.api import KtransError

Level = Literal["error", "warning"]

BROKEN_PIPE = 141
"""The exit code of a program that SIGPIPE ended, as with `ktrans ... | head`."""

REPORT = (
    "this is a defect in ktrans or in a plugin: run the same command with --debug, and report what "
    "it prints together with the output of `ktrans version`"
)


def guarded(cli: click.Command, arguments: list[str]) -> int:
    """Run the command line; show errors, and return the exit code."""
    from ktrans.api.errors import ExitCode, KtransError

    debug = "--debug" in arguments or bool(os.environ.get("KTRANS_DEBUG"))
    as_json = "--json" in arguments
    try:
        result = cli.main(arguments, prog_name="ktrans", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else ExitCode.OK
    except BrokenPipeError:
        drop_stdout()
        return BROKEN_PIPE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        if as_json:
            show_json({"error": {"code": "usage", "message": error.format_message()}})
        else:
            error.show()
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - shown as a defect
        if debug:
            click.echo(_without_secrets(traceback.format_exc()), err=True, nl=False)
        known = error if isinstance(error, KtransError) else _unexpected(error, debug=debug)
        _show(known, as_json=as_json)
        return known.exit_code


def _show(error: KtransError, *, as_json: bool) -> None:
    """Show an error; on stderr if nothing more can be written to stdout."""
    try:
        if as_json:
            show_json({"error": error_json(error)})
        else:
            show_error(error)
        sys.stdout.flush()
    except OSError:
        drop_stdout()
        if as_json:
            show_error(error)


def _unexpected(error: Exception, *, debug: bool) -> KtransError:
    """Wrap an unexpected error; only --debug shows its text, which may contain secrets."""
    from ktrans.api.errors import KtransError, RetryableError

    if out_of_memory(error):
        return RetryableError("there is not enough memory", code=CODE, hint=HINT)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        where = error.filename or "what the command prints or writes"
        return RetryableError(
            f"no space left for {where}", code="disk_full", hint="free some space, and run it again"
        )
    text = f"{type(error).__name__}: {error}" if debug else type(error).__name__
    return KtransError(f"unexpected error: {text}", code="internal", hint=REPORT)


def _without_secrets(text: str) -> str:
    """Mask secrets; imported late because the module is slow to import."""
    from ktrans.registry.redaction import redact

    return redact(text)


def error_json(error: KtransError) -> dict[str, Any]:
    """Return an error as `--json` prints it; `errors` lists them if there are several."""
    from ktrans.api.errors import ConfigErrors

    where = error.where
    if isinstance(error, ConfigErrors) and len(error.errors) == 1:
        return error_json(error.errors[0])
    result: dict[str, Any] = {
        "code": error.code,
        "message": _without_secrets(error.message),
        "hint": error.hint,
        "file": where.file if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "component": error.component,
    }
    if where is not None and where.included is not None:
        result["included_from"] = where.included
    if isinstance(error, ConfigErrors):
        result["errors"] = [error_json(one) for one in error.errors]
        result["file"] = result["errors"][0]["file"]
    return result


def show_error(error: KtransError, *, level: Level = "error") -> None:
    """Print an error, or each of several, to stderr: code, message, place, snippet, hint."""
    from ktrans.api.errors import ConfigErrors

    if isinstance(error, ConfigErrors):
        for number, one in enumerate(error.errors):
            if number:
                click.echo(err=True)
            show_error(one)
        if len(error.errors) > 1:
            click.echo(f"\n{error.message}", err=True)
        return
    where = error.where
    show_parts(
        error.code,
        error.message,
        hint=error.hint,
        place=str(where) if where else None,
        included=where.included if where else None,
        snippet=where.snippet if where else None,
        component=error.component,
        level=level,
    )


def show_parts(
    code: str,
    message: str,
    *,
    hint: str | None = None,
    place: str | None = None,
    included: str | None = None,
    snippet: str | None = None,
    component: str | None = None,
    level: Level = "error",
) -> None:
    """Print the parts of an error that are given."""
    message, place, hint = (
        printable(_without_secrets(message)),
        printable(place or ""),
        printable(hint or ""),
    )
    colour = "red" if level == "error" else "yellow"
    click.echo(f"{click.style(f'{level}[{code}]', fg=colour, bold=True)}: {message}", err=True)
    if place:
        click.echo(f"  {click.style('-->', fg='blue')} {place}", err=True)
    if included:
        click.echo(f"      included from {included}", err=True)
    if component:
        click.echo(f"  in {component}", err=True)
    for line in (snippet or "").splitlines():
        click.echo(f"  {line}", err=True)
    if hint:
        click.echo(f"  {click.style('hint', fg='cyan')}: {hint}", err=True)
