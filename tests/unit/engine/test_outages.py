"""Reports of components on what is behind them, from their context to the observer."""

import pytest

from ktrans.api import RetryableError
from ktrans.engine.observer import Meter, Observer
from ktrans.engine.outages import Outages
from ktrans.testing import fakes
from ktrans.testing.clock import MovableClock


class Seen(Observer):
    def __init__(self):
        self.calls = []

    def outage(self, component, secs, attempts, error):
        self.calls.append((component, secs, attempts, str(error)))

    def outage_over(self, component, secs, attempts):
        self.calls.append((component, secs, attempts))


def test_an_outage_is_reported_at_first_at_growing_intervals_and_when_it_is_over():
    seen, meter, clock = Seen(), Meter(), MovableClock()
    health = Outages(seen, meter, clock).health_of("lake")
    health.works()
    for _ in range(40):
        health.failed(RetryableError("busy"))
        clock.wait(1)
    health.works()
    health.works()
    assert seen.calls == [
        ("lake", 0, 1, "busy"),
        ("lake", 5, 5, "busy"),
        ("lake", 15, 10, "busy"),
        ("lake", 35, 20, "busy"),
        ("lake", 40, 4),
    ]
    assert meter.retries == 40


def test_a_sink_reports_through_its_context_and_an_epoch_ends_what_it_did_not(bench, monkeypatch):
    bench.fill(objects=2)
    finish = fakes._FakeWriter.finish
    sinks = []
    monkeypatch.setattr(
        fakes.FakeSink, "bind", lambda sink, schema: sinks.append(sink), raising=True
    )

    def failing(writer):
        sinks[0].context.health.failed(RetryableError("no answer"))
        return finish(writer)

    monkeypatch.setattr(fakes._FakeWriter, "finish", failing)
    seen = Seen()
    receipt = bench.run(observer=seen)
    assert receipt.error is None
    assert seen.calls[0][0] == sinks[0].context.name
    assert seen.calls[0][3] == "no answer"
    assert len(seen.calls[-1]) == 3
    assert receipt.retries == pytest.approx(6)
