"""Two processes run one pipeline and share nothing but a bucket: no row is lost, none comes twice."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from ktrans.config.load import load_pipeline
from ktrans.engine.assemble import build_state
from ktrans.registry.catalogue import Catalogue
from ktrans.state.store import view_store

_SPEC = importlib.util.spec_from_file_location("ends", Path(__file__).with_name("ends.py"))
ends = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(ends)

KILLS = max(2, int(os.environ.get("KTRANS_KILLS", "20")) // 5)
LEASE_SECS = 2
FIRST, MORE, TIRED_SECS = 6, 2, 120
TRY_LATER = 75

pytestmark = pytest.mark.slow


class Contended:
    """A pipeline within a bucket, state and rejects and all, and processes that run it."""

    def __init__(self, folder, end):
        self.end = end
        self.parts = 0
        self.path = folder / "p.yaml"
        state = {**end.options(), "lease_time": LEASE_SECS, "checkpoint_entries": 8}
        tree = {
            "name": "contended",
            "source": end.source(),
            "decoder": end.decoder(),
            "sinks": [end.sink()],
            "rejects": {**end.options(), "path": "rejects/", "format": {"type": "jsonl"}},
            "state": state,
            "engine": {"workers": 2, "epoch_splits": 2, "task_size": 2000},
        }
        self.path.write_text(json.dumps(tree))

    def fill(self, parts):
        for _ in range(parts):
            self.end.fill(self.parts)
            self.parts += 1

    def start(self, *args):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", *args, str(self.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def run(self):
        """Run until the lease of whoever died has run out and there is nothing left to do."""
        deadline = time.monotonic() + TIRED_SECS
        while True:
            process = self.start("--json")
            out, err = process.communicate(timeout=TIRED_SECS)
            if process.returncode == 0:
                return json.loads(out)
            assert process.returncode == TRY_LATER, err.decode()[-2000:]
            assert b"error[locked]" in err, err.decode()[-2000:]
            assert time.monotonic() < deadline, err.decode()[-2000:]

    def look(self):
        """Return the status of the epoch under way, if there is one."""
        catalogue = Catalogue()
        pipeline = load_pipeline(self.path, catalogue)
        with build_state(pipeline, catalogue) as state, view_store(state, pipeline.name) as store:
            epoch = store.unfinished(pipeline.name)
            return epoch and epoch.status

    def expected(self):
        numbers = range(self.parts * ends.ROWS)
        return Counter(numbers)


def ended(process):
    """Take leave of a process that came to its end by itself: done, or not its turn."""
    _, err = process.communicate(timeout=TIRED_SECS)
    told = err.decode()
    assert process.returncode in {0, TRY_LATER}, told[-2000:]
    if process.returncode == TRY_LATER:
        assert "error[locked]" in told or "error[state_fenced]" in told, told[-2000:]


@pytest.fixture
def contended(request, tmp_path):
    name, fixture = request.param
    return Contended(tmp_path, getattr(ends, name)(request.getfixturevalue(fixture)))


STORES = pytest.mark.parametrize(
    "contended",
    [
        pytest.param(("S3", "s3_server"), id="s3", marks=pytest.mark.service("s3")),
        pytest.param(("Gcs", "gcs_server"), id="gcs", marks=pytest.mark.service("gcs")),
        pytest.param(("Azure", "azurite"), id="azure_blob", marks=pytest.mark.service("azurite")),
    ],
    indirect=True,
)


@STORES
def test_two_loops_of_runs_are_killed_again_and_again(contended):
    rng = random.Random(11)
    contended.fill(FIRST)
    began = time.monotonic()
    contended.run()
    whole = time.monotonic() - began  # what a run takes on this machine, at this time

    def begin():
        return contended.start(), time.monotonic() + rng.uniform(0.3, 1.5) * whole

    kills, loops = 0, [begin(), begin()]
    while kills < KILLS:
        for place, (process, due) in enumerate(loops):
            if process.poll() is not None:
                ended(process)
            elif time.monotonic() >= due:
                process.kill()
                process.communicate()
                kills += 1
                contended.fill(MORE)
            else:
                continue
            loops[place] = begin()
        time.sleep(0.02)
    for process, _ in loops:
        ended(process)
    contended.run()
    assert contended.run()["outcome"] == "nothing_to_do"
    assert contended.end.rows() == contended.expected()
    assert contended.end.leftovers() == []


@STORES
def test_a_process_that_is_suspended_past_its_lease_is_fenced(contended):
    contended.fill(FIRST)
    contended.run()
    contended.fill(20)
    sleeper = contended.start()
    try:
        suspend_in_an_epoch(contended, sleeper)
        receipt = contended.run()
        assert receipt["resumed"]
        sleeper.send_signal(signal.SIGCONT)
        _, err = sleeper.communicate(timeout=TIRED_SECS)
    finally:
        sleeper.kill()
    assert sleeper.returncode == TRY_LATER, err.decode()
    assert "error[state_fenced]" in err.decode()
    assert "another run has taken over pipeline 'contended'" in err.decode()
    assert contended.run()["outcome"] == "nothing_to_do"
    assert contended.end.rows() == contended.expected()


def suspend_in_an_epoch(contended, process):
    """Stop a process while it has an epoch under way, so that it has something left to write."""
    while True:
        assert process.poll() is None, process.communicate()[1].decode()
        if contended.look() is None:
            continue
        process.send_signal(signal.SIGSTOP)
        if contended.look() is not None:
            return
        process.send_signal(signal.SIGCONT)
