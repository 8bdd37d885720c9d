"""Observers, the log and the live line."""

from __future__ import annotations

import io
import json
import logging

import pytest
from rich.console import Console

from ktrans.api import RetryableError
from ktrans.engine.log_context import bind
from ktrans.engine.observer import Meter, Observer, Observers
from ktrans.observe import human
from ktrans.observe.logs import set_up
from ktrans.observe.observers import LogObserver
from ktrans.observe.progress import ProgressObserver, advance, counts_text


class Recorder(Observer):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class Faulty(Observer):
    def note(self, text):
        raise RuntimeError("boo")


def test_an_observer_that_fails_stops_no_other(caplog):
    recorder = Recorder()
    with caplog.at_level(logging.ERROR, "ktrans"):
        Observers(Faulty(), recorder).note("hello")
    assert recorder.notes == ["hello"]
    assert "Faulty failed in note" in caplog.text


RECEIPT = {
    "pipeline": "demo",
    "outcome": "done",
    "exit_code": 0,
    "seconds": 2.5,
    "ledger": {"decoded": {"rows": 5}},
}


def play(observer):
    observer.run_started("demo", "r1", Meter())
    observer.epoch_planned(1, 2, 3)
    observer.retrying("task 1", 2, 0.5, RetryableError("slow down"))
    observer.epoch_committed(1, {"ledger": {"decoded": {"rows": 5}}, "seconds": 1.5})
    observer.note("a note")
    observer.run_finished(RECEIPT)


def test_json_lines_have_the_event_and_its_fields(capsys):
    set_up(1, "json")
    with bind(pipeline="demo", run_id="r1"):
        play(LogObserver())
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == [
        "run_started",
        "epoch_planned",
        "retrying",
        "epoch_committed",
        "note",
        "run_finished",
    ]
    assert all(line["pipeline"] == "demo" and line["run_id"] == "r1" for line in lines)
    assert (lines[2]["level"], lines[2]["attempt"]) == ("warning", 2)
    assert lines[3]["rows"] == 5


@pytest.mark.parametrize(("verbosity", "shown"), [(-1, 0), (0, 1), (1, 6)])
def test_verbosity_chooses_what_is_shown(capsys, verbosity, shown):
    set_up(verbosity, "text")
    play(LogObserver())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == shown
    if shown == 1:
        assert "[warning] task 1 failed at attempt 2, next in 0.5 s: slow down" in lines[0]


def test_a_traceback_is_part_of_its_json_line(capsys):
    set_up(0, "json")
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("ktrans.engine").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: x" in json.loads(line)["exception"]


def test_the_live_line_reads_the_meter_and_leaves_nothing():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    meter = Meter(rows=1_500, bytes_in=2_000_000, splits_done=1, splits_known=4)
    progress = ProgressObserver(console)
    progress.run_started("demo", "r1", meter)
    progress.run_finished({"pipeline": "demo"})
    progress.close()
    assert "demo" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K")


def test_each_of_several_runs_has_a_line_and_a_second_run_begins_anew():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, height=20)
    progress = ProgressObserver(console)
    progress.run_started("alpha", "r1", Meter(rows=111))
    progress.run_started("beta", "r2", Meter(rows=222))
    progress.run_finished({"pipeline": "beta"})
    progress.run_finished({"pipeline": "alpha"})
    text = stream.getvalue()
    assert "111 rows" in text
    assert "222 rows" in text
    progress.run_started("alpha", "r3", Meter(rows=333))
    progress.run_finished({"pipeline": "alpha"})
    progress.run_finished({"pipeline": "never started"})
    progress.close()
    assert "333 rows" in stream.getvalue()[len(text) :]


def test_what_the_live_line_says():
    meter = Meter(rows=120_000, bytes_in=2_500_000, splits_done=3, splits_known=10, rejects=2)
    assert counts_text(meter, 2.0) == "120,000 rows  60 k/s  2.5 MB  3/10 files  2 rejects"
    assert advance(meter) == (3, 10)
    meter.bytes_known = 10_000_000
    assert advance(meter) == (2_500_000, 10_000_000)
    assert advance(Meter(splits_done=2)) == (2, None)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_340_000, "2.34 MB")]
)
def test_sizes(number, text):
    assert human.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.424, "0.42 s"), (12.34, "12.3 s"), (245, "4 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds, text):
    assert human.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(850, "850"), (12_345, "12.3 k"), (123_456, "123 k"), (1_200_000, "1.2 M")]
)
def test_rates(number, text):
    assert human.rate(number, 1.0) == text
    assert human.rate(number, 0.0) == ""
