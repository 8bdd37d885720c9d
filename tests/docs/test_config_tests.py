"""The tests in the pipelines of the docs pass, and what the docs install can be installed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("shared", Path(__file__).with_name("conftest.py"))
shared = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(shared)

TESTED = [block for block in shared.blocks("yaml") if "\ntests:" in block.values[0]]


def test_the_pages_have_pipelines_with_tests():
    assert len(TESTED) >= 5


@pytest.mark.parametrize("text", TESTED)
def test_the_tests_of_every_pipeline_in_the_docs_pass(text, project):
    (project / "page.yaml").write_text(text)
    done = shared.ktrans(project, "test", "page.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* passed, 0 failed", done.stdout)


OURS = re.compile(r"(?:pip|pipx|uv tool) install [^`\n]*\bktrans(?:-\w+|\[)")


@pytest.mark.parametrize("page", shared.PAGES, ids=shared.name_of)
def test_a_page_that_installs_ktrans_says_how_before_a_release(page):
    """No release is on the package index yet, so the line alone would fail."""
    text = page.read_text()
    if page.name in {"CHANGELOG.md", "releasing.md"} or not OURS.search(text):
        return
    assert "checkout" in text or "README.md#install" in text
