"""What the tests of the documentation share: the pages, their blocks, and a reader's project."""

import atexit
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
    ROOT / "examples/README.md",
    *sorted(ROOT.glob("examples/*/README.md")),
]
WARM = Path(__file__).with_name("warm.py")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(page):
    """Name a page shortly: `aws.md`, or `ktrans-aws` for a README."""
    return page.parent.name if page.name == "README.md" else page.stem


def blocks(language, pages=PAGES):
    """Return the blocks of a language in all pages, as parameters of a test."""
    for page in pages:
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text())):
            if kind == language:
                yield pytest.param(text, id=f"{name_of(page)}-{number}")


def furnish(folder):
    """Put into a folder what a reader has in front of them."""
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "examples/aws-logs/networks.csv", folder / "networks.csv")
    return folder


@functools.cache
def warm():
    """Start what runs the commands, once for each process of pytest (see `warm.py`)."""
    process = subprocess.Popen(
        [sys.executable, "-Wignore:This process:DeprecationWarning", str(WARM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )

    def end():
        process.communicate()

    atexit.register(end)
    return process


def ktrans(folder, *args):
    """Run ktrans as a reader would."""
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
        order = {"folder": str(folder), "args": args, "out": out.name, "err": err.name}
        warm().stdin.write(json.dumps(order) + "\n")
        warm().stdin.flush()
        code = int(warm().stdout.readline())
        return subprocess.CompletedProcess(args, code, out.read(), err.read())


@pytest.fixture
def project(tmp_path):
    """A reader's project, for one test."""
    return furnish(tmp_path)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A reader's project that tests only read."""
    return furnish(tmp_path_factory.mktemp("library"))
