"""The status page of a run that follows its source, in a real browser."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HEAD = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"
LINE = "2 111122223333 eni-1 10.0.0.1 10.0.0.2 443 40000 6 2 {n} 1767225600 1767225660 ACCEPT OK\n"


def free_port():
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def status(url):
    with urllib.request.urlopen(f"{url}status.json", timeout=30) as answer:
        return json.load(answer)["pipelines"][0]


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


@pytest.fixture
def following(tmp_path):
    """A run that follows a folder, and its address."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "p.yaml").write_text(
        "name: branch-office\n"
        "source: {type: file, paths: [logs/], tail_wait: 0}\n"
        "decoder: {type: aws_vpc}\n"
        "sinks: [{id: lake, type: file, path: out/}]\n"
        "engine: {poll_interval: 0.1}\n"
    )
    port = free_port()
    command = [sys.executable, "-m", "ktrans", "run", "--follow", "--http", f":{port}"]
    process = subprocess.Popen([*command, str(tmp_path / "p.yaml")], stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}/"

    def answers():
        assert process.poll() is None, process.stderr.read()
        try:
            return status(url)["ready"]
        except OSError:
            return False

    until(answers)
    yield tmp_path / "logs", url, process
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture
def page(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda m: m.type == "error" and page.problems.append(m.text))
        yield page
        browser.close()


def test_the_page_follows_the_run(following, page):
    logs, url, _ = following
    (logs / "a.log").write_text(HEAD + "".join(LINE.format(n=n) for n in range(500)) + "rubbish\n")
    until(lambda: status(url)["epochs"] == 1)
    page.goto(url)
    page.get_by_text("ready", exact=True).wait_for(timeout=60_000)
    assert page.locator("svg text", has_text="lake").count() >= 1
    figures = dict(
        zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True)
    )
    assert (figures["rows"], figures["rejects"]) == ("500", "1")
    ledger = page.get_by_label("Ledger: rows by stage").inner_text()
    assert "lake" in ledger
    assert page.get_by_label("Rejects by reason").inner_text().count("1") >= 1
    (logs / "b.log").write_text(HEAD + LINE.format(n=7))
    page.locator("dd", has_text="501").first.wait_for(timeout=60_000)
    assert page.problems == []


def test_the_page_fits_a_phone_and_says_when_the_process_is_gone(following, page):
    _, url, process = following
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(url)
    page.get_by_text("ready", exact=True).wait_for(timeout=60_000)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    process.terminate()
    process.wait(60)
    page.get_by_role("alert").wait_for(state="visible", timeout=60_000)


def test_the_page_follows_a_reload(following, page):
    logs, url, process = following
    page.goto(url)
    page.get_by_text("configuration 1, applied").wait_for(timeout=60_000)
    config = logs.parent / "p.yaml"
    text = config.read_text()
    config.write_text(text.replace("id: lake", "id: pond"))
    process.send_signal(signal.SIGHUP)
    page.get_by_text("configuration 2, applied").wait_for(timeout=60_000)
    page.locator("svg text", has_text="pond").first.wait_for(timeout=60_000)
    page.get_by_text("ready", exact=True).wait_for(timeout=60_000)
    config.write_text(text.replace("aws_vpc", "aws_vpn"))
    process.send_signal(signal.SIGHUP)
    page.get_by_text("reload failed").wait_for(timeout=60_000)
    page.get_by_text("p.yaml:3").wait_for(timeout=60_000)
    assert page.get_by_text("ready", exact=True).count() == 1
    assert page.problems == []
