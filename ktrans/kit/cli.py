"""Options and output that all verbs of the command line share, those of plugins included.

A plugin adds a verb with the hook `ktrans_add_commands`. It reports an error by raising a KtransError:
the command line shows it, as text or JSON, and exits with its code. Every verb has `--debug`.

    @click.command("greet")
    @json_option
    def command(as_json: bool) -> None:
        \"\"\"Print a greeting.\"\"\"
        if as_json:
            show_json({"greeting": "hello"})
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ktrans.kit.disk import is_stream

if TYPE_CHECKING:
    from pathlib import Path

    from ktrans.api import UsageError

UNLIMITED = 10_000
"""The width of output that is not a terminal: nothing is wrapped or cut."""


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document to stdout, errors included."
)


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """A duration such as `90s` or `10m`; the value is a number of seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from ktrans.kit.units import parse_duration

        try:
            return value if isinstance(value, float) else parse_duration(value)
        except ValueError:
            self.fail(f"{value!r} is not a duration such as 90s or 10m", param, ctx)


DURATION = _Duration()


def show_json(value: Any) -> None:
    """Print the JSON document of a command that was called with `--json`; it may hold dataclasses."""
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    from dataclasses import asdict, is_dataclass

    import msgspec

    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def width() -> int:
    """Return the width of the terminal, or `UNLIMITED` if stdout is not one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED


def printable(text: str) -> str:
    """Escape control characters, which a terminal would interpret."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, room: int | None = None) -> str:
    """Lay out rows in columns; the last column is wrapped to the rest of the width.

    Control characters are escaped: what is shown may be names that others have chosen.

    Args:
        head: the heading of each column.
        rows: the cells; columns that are empty in all rows are not shown.
        room: the width; that of the terminal by default.
    """
    room = width() if room is None else room
    shown = [at for at in range(len(head)) if not rows or any(row[at] for row in rows)]
    lines = [[_one_line(row[at]) for at in shown] for row in [head, *rows]]
    widths = [max(len(line[at]) for line in lines) for at in range(len(shown))]
    indent = sum(widths[:-1]) + 2 * (len(shown) - 1)
    texts = []
    for line in lines:
        cells = [cell.ljust(size) for cell, size in zip(line, widths, strict=True)][:-1]
        wrapped = textwrap.wrap(
            line[-1], max(room - indent, 20), break_long_words=False, break_on_hyphens=False
        )
        first, *rest = wrapped or [""]
        texts.append("  ".join([*cells, first]).rstrip())
        texts += [" " * indent + more for more in rest]
    return "\n".join([click.style(texts[0], bold=True), *texts[1:]])


def _one_line(cell: str) -> str:
    return printable(cell).replace("\n", " ")


@contextmanager
def output_file(path: Path | None) -> Iterator[BinaryIO]:
    """Open stdout, or a file that appears under its name once it is complete.

    What is there already and is no regular file, such as a device or a pipe, is written directly, and
    so are streams such as /dev/stdout.

    Raises:
        UsageError: the file cannot be created.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    direct = is_stream(path)
    part = path if direct else path.with_name(f".{path.name}.part")
    try:
        out = part.open("ab" if direct else "wb")
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with out:
            yield out
        if not direct:
            part.replace(path)
    finally:
        if not direct:
            part.unlink(missing_ok=True)


def check_output(path: Path) -> None:
    """Check that a file can be written, before the work whose result it takes.

    Raises:
        UsageError: it cannot.
    """
    import errno
    import os
    import tempfile

    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not is_stream(path):
            with tempfile.TemporaryFile(dir=path.parent):
                pass
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UsageError:
    """Return the error for a file that a verb cannot write."""
    from ktrans.api import UsageError

    return UsageError(
        f"cannot write {path}: {error.strerror}",
        code="cannot_write",
        hint="check that its folder exists, and that this user may write there",
    )
