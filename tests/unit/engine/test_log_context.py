"""Lines that are logged inside a run know whose they are, whichever thread logs them."""

from __future__ import annotations

import json
import logging
import threading
from contextvars import copy_context

from ktrans.observe.logs import set_up
from ktrans.testing import fakes


def listening(monkeypatch):
    """Let the fakes and a library log on the way, and keep the threads' names."""
    decode, opened, threads = fakes.FakeDecoder.decode, fakes.FakeSource.open, set()

    def decode_and_tell(self, block):
        threads.add(threading.current_thread().name.split("_")[0])
        self.context.log.warning("decoding", extra={"event": "acme_decoding"})
        logging.getLogger("some.library").warning("inside")
        return decode(self, block)

    def open_and_tell(self, split):
        threads.add(threading.current_thread().name.split("-")[0])
        self.context.log.warning("opening")
        return opened(self, split)

    monkeypatch.setattr(fakes.FakeDecoder, "decode", decode_and_tell)
    monkeypatch.setattr(fakes.FakeSource, "open", open_and_tell)
    return threads


def lines_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_lines_of_all_threads_have_the_run_the_epoch_the_task_and_the_component(
    bench, capsys, monkeypatch
):
    threads = listening(monkeypatch)
    set_up(0, "json")
    bench.fill(objects=6)
    receipt = bench.run()
    assert {"read", "work"} <= threads
    lines = lines_of(capsys)
    assert {line["message"] for line in lines} == {"decoding", "opening", "inside"}
    for line in lines:
        assert (line["pipeline"], line["run_id"]) == ("p", receipt.run_id)
        assert line["epoch"] in {1, 2}
        assert line["task"] >= 0
    components = {line["message"]: line.get("component") for line in lines}
    assert components == {"decoding": "decoder", "opening": "source", "inside": None}


def test_two_pipelines_in_one_process_do_not_mix(bench, capsys, monkeypatch, tmp_path_factory):
    other = type(bench)(tmp_path_factory.mktemp("other"))
    other.change(name="q")
    listening(monkeypatch)
    set_up(0, "json")
    bench.fill(objects=6)
    other.fill(objects=6)
    receipts = {}

    def go(one):
        receipts[one.pipeline.name] = one.run()

    runs = [threading.Thread(target=copy_context().run, args=(go, one)) for one in (bench, other)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    del fakes.WORLDS[other.name]
    seen = {(line["pipeline"], line["run_id"]) for line in lines_of(capsys)}
    assert seen == {(name, receipt.run_id) for name, receipt in receipts.items()}
    assert set(receipts) == {"p", "q"}
