"""The page in a real browser: on a desk, on a phone, in the dark, on paper."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path

import pytest
from ktrans_report.options import Options
from ktrans_report.page import render
from ktrans_report.report import make

_spec = importlib.util.spec_from_file_location("made", Path(__file__).with_name("conftest.py"))
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)
flow = made.flow

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
VIEWS = {"desk": (1280, 900, "light"), "phone": (390, 844, "light"), "dark": (1280, 900, "dark")}


def rows():
    for minute in range(0, 60 * 30, 7):
        number = minute // 7
        common = {
            "account_id": f"{number % 3:012}",
            "interface_id": f"eni-0a1b2c3d4e5f6{number % 5}",
            "src_zone": "eu-central-1a",
            "dst_zone": f"eu-central-1{'abc'[number % 3]}",
            "src_region": "eu-central-1",
            "dst_region": ("eu-central-1", "us-east-1")[number % 2],
            "bytes": 1000 * (number % 17) ** 3,
        }
        yield flow(minute, **common, src_addr=f"10.0.0.{number % 30}")
        yield flow(minute, **common, src_addr=f"203.0.113.{number % 40}", dst_port=22)
        yield flow(minute, **common, action="reject", rule=f"deny <b>{number % 4}</b>")
        if number % 40 == 0:
            yield flow(minute, **common, log_status="SKIPDATA")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("report")
    (folder / "lake").mkdir()
    pq.write_table(made.table(list(rows())), folder / "lake/a.parquet")
    options = Options(
        places=(str(folder / "lake"),), price_internet=0.09, price_zone=0.01, price_region=0.02
    )
    path = folder / "page.html"
    path.write_text(render(make(options)))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=VIEWS)
def page(request, browser, address):
    width, height, scheme = VIEWS[request.param]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(60_000)
    page.problems, page.requests = [], []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("request", lambda asked: page.requests.append(asked.url))
    page.goto(address)
    yield page
    page.close()


def test_it_loads_nothing_and_complains_about_nothing(page, address):
    page.wait_for_load_state("networkidle")
    asked = [url for url in page.requests if not url.startswith("data:")]
    assert asked == [address]
    assert page.problems == []


def test_nothing_is_wider_than_the_screen(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_every_chart_is_drawn_with_marks_and_legible(page):
    charts = page.locator("figure svg:visible")
    assert charts.count() >= 10
    for chart in charts.all():
        box = chart.bounding_box()
        assert box["width"] > 250
        assert box["height"] > 60
        marks = chart.locator("[class*=role-mark] > path").evaluate_all(
            "all => all.filter(one => one.getBoundingClientRect().width > 0.5).length"
        )
        assert marks >= 1
        smallest = chart.locator("text").evaluate_all(
            "all => Math.min(...all.map(one => parseFloat(getComputedStyle(one).fontSize)"
            " * one.getScreenCTM().d || 99).filter(size => size > 0))"
        )
        assert smallest >= 9.5
        assert len(chart.get_attribute("aria-label")) > 20


def test_it_can_be_walked_by_headings_landmarks_and_names(page):
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("banner").count() == 1
    assert page.get_by_role("navigation", name="Sections").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(one => +one.tagName[1])")
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for name in ("Summary", "Top talkers", "Coverage: missing hours", "What was counted"):
        assert page.get_by_role("region", name=name, exact=True).count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    table = page.locator("figure#talkers-addresses details")
    table.locator("summary").click()
    assert table.get_by_role("columnheader", name="Address").is_visible()
    assert table.get_by_role("rowheader").count() == 12


def test_it_passes_the_rules_of_axe(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for summary in page.locator("summary").all():
        summary.click()
    found = axe.Axe().run(page)
    told = [
        (broken["id"], [node["html"][:200] for node in broken["nodes"][:3]])
        for broken in found.response["violations"]
    ]
    assert told == []


def test_values_stay_text(page):
    assert page.locator("figure b").count() == 0
    assert page.get_by_text("rule deny <b>1</b>").first.count() == 1


def test_on_paper_the_wide_charts_are_printed(page):
    page.emulate_media(media="print")
    assert page.locator(".wide svg").first.is_visible()
    assert not page.locator(".phone svg").first.is_visible()
    assert not page.locator("nav").is_visible()
