"""Draws the pictures of the README from a real run: the receipt as SVG, the report as PNG.

`make pictures` runs it. The receipt needs only ktrans; the report needs Chromium.
"""

from __future__ import annotations

import errno
import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs/pictures"
COLUMNS = 80
_COMMAND = "ktrans run --summary configs/quickstart.yaml"
_VIEW = {"width": 1180, "height": 1010}
_CHANGING = (
    (re.compile(r" in [\d.]+ m?s\b"), " in 1.0 s"),
    (re.compile(r"\.[0-9a-f]{6}-0000"), ".6d9d5a-0000"),
)
"""What differs from run to run: the duration, and the history in names of files."""

_FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>The receipt of a run</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""As that of rich, without a font that is loaded from the network."""


def example(folder: Path) -> str:
    """Run the quickstart in a folder as in a terminal; return the receipt with its colours."""
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ktrans", *_COMMAND.split()[1:], "--no-progress"]
    environ = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    environ.pop("NO_COLOR", None)
    with subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=folder, stdout=theirs, stderr=theirs, env=environ
    ) as run:
        os.close(theirs)
        shown = b"".join(_parts(ours))
    os.close(ours)
    if run.returncode:
        raise SystemExit(shown.decode())
    return shown.decode().replace("\r\n", "\n")


def _parts(terminal: int) -> list[bytes]:
    """Read a terminal to its end, which Linux reports as an error."""
    parts = []
    try:
        while part := os.read(terminal, 65_536):
            parts.append(part)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return parts


def receipt_svg(shown: str) -> str:
    """Draw a receipt; what differs from run to run is replaced."""
    for pattern, text in _CHANGING:
        shown = pattern.sub(text, shown)
    console = Console(
        width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    console.print(Text(f"$ {_COMMAND}", style="bold"))
    console.print(Text.from_ansi(shown.rstrip()))
    svg = console.export_svg(
        title="", theme=SVG_EXPORT_THEME, code_format=_FRAME, unique_id="receipt"
    )
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def report_png(folder: Path, path: Path) -> None:
    """Take a picture of the first screen of the report on what the quickstart wrote."""
    from playwright.sync_api import sync_playwright

    page = folder / "report.html"
    report = ["report", "out/quickstart/lake", "--title", "Example flows", "--output", str(page)]
    command = [sys.executable, "-m", "ktrans", *report]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - our own command
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page(viewport=_VIEW, color_scheme="light")
        shown.goto(page.as_uri())
        shown.screenshot(path=path)
        browser.close()


def main() -> None:
    """Write both pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (PICTURES / "receipt.svg").write_text(receipt_svg(example(folder)), "utf-8")
        report_png(folder, PICTURES / "report.png")


if __name__ == "__main__":
    main()
