"""The result of a run on the command line: the receipt as text and as a file, and the exit code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktrans.api import ExitCode
from ktrans.cli.failures import REPORT, show_parts

if TYPE_CHECKING:
    from ktrans.engine.receipt import RunReceipt


def show_receipt(
    receipt: RunReceipt,
    config: str,
    *,
    summary: bool,
    one_line: bool,
    warn: bool = True,
) -> None:
    """Show the result of a run on stderr.

    Args:
        receipt: the receipt of the run.
        config: the pipeline file as the user named it.
        summary: show the complete receipt.
        one_line: without `summary`, show one line.
        warn: without `summary`, show one line if records were rejected, and the notes. Errors are
            always shown.
    """
    if summary:
        from ktrans.observe.receipt_text import receipt_text

        columns = min(shutil.get_terminal_size().columns, 100)
        text = receipt_text(receipt, config, width=columns, colour=True)
        click.echo(text, err=True)  # click removes the colours if stderr is not a terminal
    elif one_line or (
        warn
        and (receipt.ledger.rejects or receipt.ledger.refused or receipt.torn or receipt.broken)
    ):
        from ktrans.observe import receipt_text as texts

        click.echo(texts.one_line(receipt), err=True)
    if warn and not summary and receipt.outcome != "skipped":
        _show_notes(receipt)
    if receipt.error:
        error = receipt.error
        hint = error["hint"] or (REPORT if receipt.exit_code == ExitCode.SOFTWARE else None)
        if summary:
            click.echo(err=True)
        show_parts(
            error["code"],
            error["message"],
            hint=hint,
            place=error.get("place"),
            component=error["component"],
        )
    elif not summary:
        for item in receipt.quarantined[:10]:
            message = f"{item.uri} was quarantined: {item.reason}"
            show_parts(item.code, message, hint=f"ktrans state show {config}")
        for uri, looks in list(receipt.strange.items())[:10]:
            message = f"nothing of {uri} could be read: {looks}"
            files = receipt.rejects is not None and receipt.rejects.is_files
            hint = f"ktrans rejects list {config}" if files else None
            show_parts("unknown_format", message, hint=hint)


def _show_notes(receipt: RunReceipt) -> None:
    from ktrans.observe.receipt_text import TORN

    for uri in receipt.torn[:10]:
        click.echo(f"warning: {TORN}: {uri}", err=True)
    for text in receipt.left:
        click.echo(f"warning: left for a later run: {text}", err=True)
    for note in receipt.notes:
        click.echo(f"note: {note}", err=True)


def write_receipt(path: str, receipt: Any) -> None:
    """Write a receipt, or a list of receipts, to a file.

    Raises:
        StateError: it cannot be written.
    """
    import json

    from ktrans.observe.metrics import write_atomically

    write_atomically(Path(path), f"{json.dumps(receipt, indent=2, ensure_ascii=False)}\n")
