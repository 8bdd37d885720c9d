"""The log: one form for all lines, documented events, names that do not mix, and no secrets."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import sys
import threading
from contextvars import copy_context
from pathlib import Path

import jsonschema
import pytest
import structlog

from ktrans.engine.log_context import ComponentLogger, bind
from ktrans.observe.log_schema import events_table, log_schema
from ktrans.observe.logs import set_up
from ktrans.registry.catalogue import first_party
from ktrans.registry.explanations import log_events

ROOT = Path(__file__).parents[3]
PYTHON = [
    path
    for folder in [ROOT / "ktrans", *ROOT.glob("plugins/*/ktrans_*")]
    for path in folder.rglob("*.py")
    if "testing" not in path.parts and "scaffold" not in path.parts
]
EVENTS = log_events(first_party())


def lines_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


# -- the form -------------------------------------------------------------------------------------


def test_lines_of_ours_of_plugins_and_of_libraries_share_one_form(capsys):
    set_up(2, "json")
    log = ComponentLogger("ktrans.sink.acme", {"pipeline": "demo", "component": "lake"})
    with bind(pipeline="demo", run_id="r1"):
        log.warning("%d rows late", 3, extra={"event": "acme_late", "rows": 3})
    logging.getLogger("some.library").debug("connected to %s", "db-1")
    structlog_line = structlog.wrap_logger(
        logging.getLogger("acme"),
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    structlog_line.warning("a message", size=7)
    mine, theirs, own_way = lines_of(capsys)
    for line in (mine, theirs, own_way):
        jsonschema.validate(line, log_schema(EVENTS))
        assert line["timestamp"].endswith("Z")
    assert list(mine)[:8] == [
        "timestamp", "level", "event", "message", "logger", "pipeline", "run_id", "component",
    ]  # fmt: skip
    assert mine["event"] == "acme_late"
    assert (mine["message"], mine["rows"], mine["component"]) == ("3 rows late", 3, "lake")
    assert (theirs["event"], theirs["message"]) == ("log", "connected to db-1")
    assert (own_way["message"], own_way["size"]) == ("a message", 7)


def test_libraries_are_heard_from_warnings_up_until_everything_is_asked_for(capsys):
    for verbosity, heard in ((-1, "e"), (0, "we"), (1, "we"), (2, "diwe")):
        set_up(verbosity, "json")
        library = logging.getLogger("some.library")
        library.debug("d")
        library.info("i")
        library.warning("w")
        library.error("e")
        assert "".join(line["message"] for line in lines_of(capsys)) == heard


def test_setting_it_up_twice_writes_each_line_once(capsys):
    set_up(1, "json")
    set_up(1, "json")
    logging.getLogger("ktrans.x").info("once")
    assert len(lines_of(capsys)) == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_text_and_colours_only_if_it_wants_them(monkeypatch, environ, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    set_up(1)
    logging.getLogger("ktrans.x").warning("slow", extra={"event": "acme_slow", "host": "db-1"})
    text = terminal.getvalue()
    assert "slow" in text
    assert "db-1" in text
    assert ("\x1b[" in text) is coloured


def test_text_has_no_colours_elsewhere_and_shows_control_characters(capsys):
    set_up(1, "text")
    logging.getLogger("ktrans.x").warning("a name: %s", "evil\x1b[31m\rname")
    text = capsys.readouterr().err
    assert "\x1b" not in text
    assert "evil\\x1b[31m\\rname" in text


def test_a_line_that_cannot_be_written_says_so_without_its_values(capsys):
    set_up(1, "json")
    (handler,) = (
        h for h in logging.getLogger().handlers if type(h).__module__ == set_up.__module__
    )
    handler.handle(logging.LogRecord("x", 30, "", 1, "%d rows", ("sesame-sesame",), None))
    err = capsys.readouterr().err
    assert "could not be written" in err
    assert "sesame" not in err


# -- whose line it is -----------------------------------------------------------------------------


def test_runs_side_by_side_do_not_mix_their_names(capsys):
    set_up(1, "json")
    both = threading.Barrier(2, timeout=60)

    def pipeline(name):
        with bind(pipeline=name, run_id=f"run-{name}"):
            both.wait()
            worker = threading.Thread(
                target=copy_context().run, args=(logging.getLogger("ktrans.x").warning, name)
            )
            worker.start()
            worker.join()
            both.wait()

    threads = [threading.Thread(target=copy_context().run, args=(pipeline, n)) for n in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = lines_of(capsys)
    assert sorted(line["message"] for line in lines) == ["a", "b"]
    assert all(line["pipeline"] == line["message"] for line in lines)


def test_a_thread_of_a_library_belongs_to_the_only_run_there_is(capsys):
    set_up(1, "json")

    def log_elsewhere():
        thread = threading.Thread(target=logging.getLogger("some.library").warning, args=("x",))
        thread.start()
        thread.join()

    with bind(pipeline="one", run_id="r1"):
        log_elsewhere()
        with bind(pipeline="two", run_id="r2"):
            log_elsewhere()
    log_elsewhere()
    assert [line.get("pipeline") for line in lines_of(capsys)] == ["one", None, None]


# -- the documentation ----------------------------------------------------------------------------


def logged(path):
    """Find the calls that log in a file, and the event that each one names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = ast.unparse(node.func.value)
        levels = {"debug", "info", "warning", "error", "exception", "critical", "log"}
        if node.func.attr not in levels or not (
            owner.endswith(("log", "_log", "logger")) or "getLogger" in owner
        ):
            continue
        extra = next((k.value for k in node.keywords if k.arg == "extra"), None)
        yield f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(extra) if extra else ""


@pytest.mark.slow
def test_every_line_that_is_logged_names_an_event_and_every_event_is_logged():
    found = {place: extra for path in PYTHON for place, extra in logged(path)}
    assert len(found) > 10
    through = [place for place, extra in found.items() if "'event': event" in extra]
    assert [place.split(":")[0] for place in through] == ["ktrans/observe/observers.py"]
    declared = re.compile(r"'event': (log_events\.)?[A-Z_]+\b")
    nameless = [p for p, extra in found.items() if p not in through and not declared.search(extra)]
    assert not nameless, "give these an event: " + ", ".join(nameless)


def test_no_event_is_declared_twice_or_never_logged():
    assert len(EVENTS) == len(set(EVENTS))
    declared = [path for path in PYTHON if path.name == "log_events.py"]
    text = "".join(path.read_text() for path in PYTHON if path not in declared)
    names = [
        name
        for path in declared
        for name in re.findall(r"^([A-Z_]+) = LogEvent", path.read_text(), re.MULTILINE)
    ]
    assert len(names) == len(EVENTS)
    assert [name for name in names if name not in text] == []


def test_the_table_of_events_in_the_docs_is_that_of_the_code():
    page = (ROOT / "docs/logs.md").read_text()
    assert events_table(EVENTS) in page, "python -m ktrans.observe.log_schema prints the table"
    for field in log_schema(EVENTS)["properties"]:
        assert f"`{field}`" in page


def test_the_schema_describes_the_fields_of_all_events():
    fields = {field.name for event in EVENTS for field in event.fields}
    assert fields <= log_schema(EVENTS)["properties"].keys()
    jsonschema.Draft202012Validator.check_schema(log_schema(EVENTS))


# -- what it costs --------------------------------------------------------------------------------
