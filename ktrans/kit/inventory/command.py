"""The command that writes a snapshot: `python -m ktrans_aws.snapshot FILE`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ktrans.api import KtransError
from ktrans.kit.inventory.records import Snapshot, save


def write_snapshot(ask: Callable[[], Snapshot[Any]], path: Path) -> None:
    """Ask a cloud and write what it says; an error ends the process with its exit code."""
    try:
        snapshot = ask()
        written = save(snapshot, path)
    except KtransError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        click.echo(f"error: {error}{hint}", err=True)
        raise SystemExit(error.exit_code) from error
    click.echo(f"{len(snapshot.interfaces)} interfaces written to {written}", err=True)
