"""The command that writes a snapshot: `python -m ktrans_aws.snapshot FILE`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ktrans.api import ExitCode, KtransError
from ktrans.kit.inventory.records import Snapshot, save


def write_snapshot(ask: Callable[[], Snapshot[Any]], target: str) -> None:
    """Ask a cloud and write what it says; an error ends the process with its exit code.

    Args:
        ask: asks it.
        target: the file; or a folder, which is made if the text ends with a slash.
    """
    path = Path(target)
    try:
        if target.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        snapshot = ask()
        written = save(snapshot, path)
    except KtransError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        click.echo(f"error: {error}{hint}", err=True)
        raise SystemExit(error.exit_code) from error
    except OSError as error:
        click.echo(f"error: cannot write {path}: {error.strerror or error}", err=True)
        raise SystemExit(ExitCode.ACCESS) from error
    click.echo(f"{len(snapshot.interfaces)} interfaces written to {written}", err=True)
