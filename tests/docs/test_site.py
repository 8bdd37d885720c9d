"""The documentation's site builds without a warning, hangs together, and needs nothing from elsewhere."""

import fcntl
import importlib.util
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page of HTML links to, loads, and can be linked to at."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.ids, self.headings = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.ids.add(told.get("id"))
        if tag == "a" and told.get("href"):
            self.links.append(told["href"])
        if tag in {"script", "img", "iframe", "source"} and told.get("src"):
            self.loads.append(told["src"])
        if tag == "link" and "stylesheet" in (told.get("rel") or ""):
            self.loads.append(told["href"])
        if tag == "h1":
            self.headings.append(tag)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    missing = [
        name for name in ("sphinx", "furo", "myst_parser") if not importlib.util.find_spec(name)
    ]
    if missing:
        if os.environ.get("KTRANS_REQUIRE_SERVICES"):
            pytest.fail(f"{', '.join(missing)} missing, and KTRANS_REQUIRE_SERVICES is set")
        pytest.skip(f"{', '.join(missing)} missing: install the dependency group `docs`")
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of all workers: whoever comes first builds it for the others
    folder, done = base / "site", base / "site.done"
    with (base / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            built = subprocess.run(
                [sys.executable, str(ROOT / "docs/site/build.py"), str(folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert built.returncode == 0, built.stdout + built.stderr
            done.touch()
    pages = {path: Page(path.read_text()) for path in folder.rglob("*.html")}
    return folder, pages


def test_every_page_is_in_the_site_with_one_title(site):
    folder, pages = site
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert pages[folder / name].headings == ["h1"], page.name
    for plugin in ROOT.glob("plugins/*/README.md"):
        assert (folder / f"plugins/{plugin.parent.name}.html") in pages


def test_every_link_inside_the_site_leads_to_a_page_and_a_place_in_it(site):
    _, pages = site
    followed = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            aim = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert aim.exists(), f"{path.name} links to {link}"
            if parts.fragment and aim in pages:
                assert unquote(parts.fragment) in pages[aim].ids, f"{path.name} links to {link}"
            followed += 1
    assert followed > 1000


def test_no_table_has_come_apart(site):
    _, pages = site
    for path in pages:
        assert "<p>|" not in path.read_text(), f"{path.name}: a row stands beside its table"


def test_the_site_loads_nothing_from_elsewhere_and_searches_by_itself(site):
    folder, pages = site
    for path, page in pages.items():
        for loaded in page.loads:
            assert not urlsplit(loaded).netloc, f"{path.name} loads {loaded}"
    for sheet in folder.rglob("*.css"):
        text = sheet.read_text()
        assert "url(http" not in text, sheet.name
        assert "url(//" not in text, sheet.name
        assert "@import" not in text, sheet.name
    assert (folder / "searchindex.js").stat().st_size > 10_000
