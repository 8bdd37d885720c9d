"""How a command ends: exit codes, and errors as people and programs read them."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ktrans.api import KtransError

BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended: `ktrans ... | head` is no failure."""

REPORT = (
    "this is a defect in ktrans or in a plugin: run the same again with --debug, and report what "
    "it prints together with the output of `ktrans version`"
)


def guarded(cli: click.Command, arguments: list[str]) -> int:
    """Run the command line and turn whatever happens into an exit code and a clear message."""
    from ktrans.api.errors import ExitCode, KtransError

    debug = "--debug" in arguments or bool(os.environ.get("KTRANS_DEBUG"))
    as_json = "--json" in arguments
    try:
        result = cli.main(arguments, prog_name="ktrans", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else ExitCode.OK
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
    except Exception as error:  # noqa: BLE001 - the last line of defence
        if debug:
            click.echo(_without_secrets(traceback.format_exc()), err=True, nl=False)
        told = error if isinstance(error, KtransError) else _unexpected(error, debug=debug)
        if as_json:
            show_json({"error": error_json(told)})
        else:
            show_error(told)
        return told.exit_code


def _unexpected(error: Exception, *, debug: bool) -> KtransError:
    """Wrap what nobody foresaw; its text may hold anything, so only --debug shows it."""
    from ktrans.api.errors import KtransError

    text = f"{type(error).__name__}: {error}" if debug else type(error).__name__
    return KtransError(f"unexpected error: {text}", code="internal", hint=REPORT)


def _without_secrets(text: str) -> str:
    """Take secrets out; a module whose import costs, so only on the way out."""
    from ktrans.registry.redaction import redact

    return redact(text)


def error_json(error: KtransError) -> dict[str, Any]:
    """Give an error as `--json` prints it; `errors` has each one if there are several."""
    from ktrans.api.errors import ConfigErrors

    where = error.where
    if isinstance(error, ConfigErrors) and len(error.errors) == 1:
        return error_json(error.errors[0])
    told: dict[str, Any] = {
        "code": error.code,
        "message": _without_secrets(error.message),
        "hint": error.hint,
        "file": where.file if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "component": error.component,
    }
    if where is not None and where.included is not None:
        told["included_from"] = where.included
    if isinstance(error, ConfigErrors):
        told["errors"] = [error_json(one) for one in error.errors]
        told["file"] = told["errors"][0]["file"]
    return told


def show_json(value: Any) -> None:
    """Print the one JSON document of a command called with `--json`."""
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def show_error(error: KtransError) -> None:
    """Print an error to stderr: code and message, place, snippet, hint; each of several."""
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
) -> None:
    """Print the parts of an error, those that there are."""
    from ktrans.observe.human import tame

    message, place, hint = tame(_without_secrets(message)), tame(place or ""), tame(hint or "")
    click.echo(f"{click.style(f'error[{code}]', fg='red', bold=True)}: {message}", err=True)
    if place:
        click.echo(f"  {click.style('-->', fg='blue')} {place}", err=True)
    if included:
        click.echo(f"      included from {included}", err=True)
    if component and not snippet:
        click.echo(f"  in {component}", err=True)
    for line in (snippet or "").splitlines():
        click.echo(f"  {line}", err=True)
    if hint:
        click.echo(f"  {click.style('hint', fg='cyan')}: {hint}", err=True)
