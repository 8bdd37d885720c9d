"""Markup, line ends, terminal codes and paths in interface ids, tags and file names.

None of it may become markup in the report or on the status page, a line or a terminal code in the log, or a
file outside of the sinks. The rows keep the values as they are.
"""

import contextlib
import html.parser
import json
import os
import pty
import re
import subprocess
import time
import urllib.request
from collections import Counter

from tests.chaos.world import PROGRAM, Chaos, World, equal, expect, kill
from tests.services._launch import free_ports

TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1); '",
    "</script><svg onload=alert(1)>",
    "\x1b[2J\x1b[31mred",
    "a\nb: {}",
    "\r\nHTTP/1.1 200 OK",
    "../../../outside",
    "/etc/outside",
    "{{7*7}}${x}%s%n",
    "\u202egnp.exe",
    "\u2028\u2029",
    "=cmd|' /C calc'!A0",
    "javascript:alert(1)",
    "&lt;b&gt;",
    ".",
    "..",
    "x" * 300,
)

VERBS = (
    ("state", "show", "--prefix", "/", "--limit", "1000"),
    ("rejects", "list"),
    ("rejects", "show", "--limit", "1000"),
    ("preview",),
)
OURS = re.compile(rb"\x1b\[\d*m")
"""Bold and plain."""


class Markup(html.parser.HTMLParser):
    """Collects what a browser would take for markup of ours that came from a text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note handlers, and elements that only a text can have brought."""
        if tag in {"img", "b"} or any(name.startswith("on") for name, _ in attrs):
            self.found.append(self.get_starttag_text() or tag)
        if any((value or "").startswith("javascript:") for _, value in attrs):
            self.found.append(self.get_starttag_text() or tag)

    def handle_data(self, data: str) -> None:
        """Note scripts with a text of ours."""
        if self.lasttag == "script" and "alert(1)" in data and "<script>alert" not in data:
            self.found.append(data[:200])


def run(chaos: Chaos) -> None:
    """Run over hostile texts, and look at all that shows them."""
    written = write(chaos)
    world = chaos.world()
    world.tree["decoder"] = {
        "type": "flow_json",
        "fields": {name: name for name in ("src_addr", "dst_addr", "bytes", "interface_id")}
        | {"region": "region", "start_time": "start"},
    }
    world.tree["sinks"][0]["path"] = "lake/interface={interface_id}/"
    code = world.once("-vv", "--log-format", chaos.chance.choice(("text", "json")), "--summary")
    expect(code in {0, 65}, f"exit {code}: {world.said}")
    found: Counter[str] = Counter()
    for text, count in world.texts("lines").items():
        found[json.loads(text)["interface_id"]] += count
    equal(found, written, "interface ids")
    equal(world.lake().total(), written.total(), "rows in the lake")
    log = (world.folder / "output").read_bytes()
    expect(b"\x1b" not in log, f"a terminal code in the log: {around(log)!r}")
    expect(b"\nb: {}" not in log, "a text of the input begins a line of the log")
    allowed = {"lake", "lines", "rejects", "state", "pipeline.yaml", "output", "receipt.json"}
    equal({path.name for path in world.folder.iterdir()} - allowed, set(), "files elsewhere")
    equal({path.name for path in chaos.folder.iterdir()} - {"logs", "site"}, set(), "files outside")
    look_at_verbs(chaos, world)
    look_at_report(world)
    look_at_status(world)


def write(chaos: Chaos) -> Counter[str]:
    """Write logs, and give the interface ids by their number of rows."""
    logs = chaos.folder / "logs"
    logs.mkdir()
    count: Counter[str] = Counter()
    for number, text in enumerate(TEXTS):
        name = f"{number}{text.replace('/', '_')[:100]}"
        rows = []
        for _ in range(chaos.many(2, 30)):
            other = chaos.chance.choice(TEXTS)
            count[other] += 1
            row = {"src_addr": "10.0.0.1", "dst_addr": "192.0.2.1", "interface_id": other}
            rows.append(row | {"region": text, "bytes": 10, "start": "2026-01-01T00:00:00Z"})
        rows.append({"src_addr": text, "dst_addr": text, "interface_id": text})
        (logs / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        (logs / f"bad{name}.gz").write_bytes(b"\x1f\x8b\x08\x00" + bytes(30))
    return count


def around(data: bytes) -> bytes:
    """Return what is around a terminal code."""
    at = data.find(b"\x1b")
    return data[max(0, at - 100) : at + 100]


def look_at_verbs(chaos: Chaos, world: World) -> None:
    """Call verbs that show names and records on a terminal."""
    for verb in VERBS[:1] if chaos.short else VERBS:
        master, slave = pty.openpty()
        command = [*PROGRAM, *verb, str(world.config)]
        environ = {**os.environ, "NO_COLOR": "1", "COLUMNS": "1000"}
        with subprocess.Popen(command, stdout=slave, stderr=slave, env=environ) as process:
            os.close(slave)
            shown = b""
            with contextlib.suppress(OSError):  # the end of a terminal
                while piece := os.read(master, 65_536):
                    shown += piece
        os.close(master)
        expect(process.returncode == 0, f"{verb}: exit {process.returncode}: {shown[-2000:]!r}")
        expect(b"outside" in shown or b"alert" in shown, f"{verb} shows nothing of the texts")
        codes = OURS.sub(b"", shown)
        expect(b"\x1b" not in codes, f"{verb}: a terminal code: {around(codes)!r}")
        expect(b"\nb: {}" not in shown, f"{verb}: a text of the input begins a line")


def look_at_report(world: World) -> None:
    """Draw the report, and look for markup."""
    page = world.folder.parent / "report.html"
    command = [
        *PROGRAM,
        "report",
        "--receipt",
        str(world.folder / "receipt.json"),
        "--sink",
        "lines",
    ]
    command += ["--output", str(page), "--title", TEXTS[0]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    expect(done.returncode == 0, f"report: exit {done.returncode}: {done.stderr}")
    harmless(page.read_text(), "the report")
    expect("<script>alert" not in page.read_text(), "the report has a script of a text")


def look_at_status(world: World) -> None:
    """Follow the logs, and look at the status page."""
    (port,) = free_ports(1)
    world.tree["engine"]["poll_interval"] = 0.1
    process = world.begin("--follow", "--http", f":{port}")
    url = f"http://127.0.0.1:{port}/"
    try:
        end = time.monotonic() + 120
        while True:
            try:
                for place in ("", "status.json", "metrics", "readyz"):
                    with urllib.request.urlopen(url + place, timeout=30) as answer:
                        text = answer.read().decode()
                        if "html" in answer.headers["Content-Type"]:
                            harmless(text, f"/{place}")
                        expect("\x1b" not in text, f"a terminal code in /{place}")
                break
            except OSError:
                expect(process.poll() is None and time.monotonic() < end, world.output())
                time.sleep(0.1)
    finally:
        kill(process)


def harmless(page: str, what: str) -> None:
    """Check that no text of the input has become markup."""
    markup = Markup()
    markup.feed(page)
    equal(markup.found, [], f"markup in {what}")
