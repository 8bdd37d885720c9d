"""An object that kills the process that reads it is quarantined, and the others go on."""

import gzip
import random
import shlex
import signal
import subprocess
import sys
from collections import Counter

import pytest

pytestmark = pytest.mark.slow

ROWS = 300
PLUGIN = '''
import os, time
from ktrans.api import Spec, hookimpl
from ktrans.decoders.logs.aws_vpc import LOG


class FragileConfig(LOG.config, type="fragile"):
    """Decodes as aws_vpc does, and has a defect."""


class Fragile(LOG.decoder):
    """Ends or slows its process, as the environment says, when a record has a certain text."""

    def decode(self, block):
        decoded = super().decode(block)
        how = os.environ.get("FRAGILE")
        if how and decoded.rejects is not None and "fragile" in str(decoded.rejects.to_pydict()):
            if how == "slow":
                time.sleep(3)
            else:
                os.kill(os.getpid(), int(how))
                time.sleep(60)
        return decoded


@hookimpl
def ktrans_components():
    name = f"{__name__}:Fragile"
    return [Spec(kind="decoder", type="fragile", build=name, config=name + "Config", summary="-")]
'''


@pytest.fixture
def fragile(site, tmp_path, monkeypatch):
    """A site with a decoder that can be made to kill its process."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "fragile.py").write_text(PLUGIN)
    monkeypatch.setenv("KTRANS_PLUGINS_DIR", str(plugins))
    return configured(site)


def configured(site, **engine):
    site.write_config(**engine)
    site.config.write_text(site.config.read_text().replace("type: aws_vpc", "type: fragile"))
    return site


def spoil(path):
    """Add a text that the decoder rejects, if it survives it."""
    text = gzip.decompress(path.read_bytes()) + b"2 fragile\n"
    path.write_bytes(gzip.compress(text, 1))


def rows_by_file(site):
    """Return the number of rows of each file, none of which may be there twice."""
    lake = site.lake()
    assert max(lake.values()) == 1
    return Counter(uri.rpartition("/")[2] for uri, *_ in lake)


def test_objects_that_killed_two_processes_are_named_and_the_others_go_on(
    fragile, clean, logs, monkeypatch
):
    folder = logs(0, 20, bad=0)
    bad = ["00003.log.gz", "00007.log.gz"]
    for file in bad:
        spoil(folder / file)
    monkeypatch.setenv("FRAGILE", str(int(signal.SIGSEGV)))
    assert [fragile.run(), fragile.run()] == [-signal.SIGSEGV] * 2
    assert fragile.run() == 65, fragile.stderr
    others = [path.name for path in folder.iterdir() if path.name not in bad]
    assert rows_by_file(fragile) == dict.fromkeys(others, ROWS)
    found = fragile.receipt["quarantined"]
    assert sorted(item["uri"].rpartition("/")[2] for item in found) == bad
    for item in found:
        assert item["code"] == "killed_the_process"
        assert "the process died twice while reading it (SIGSEGV)" in item["reason"]
        assert item["uri"] in fragile.stderr
    assert sorted((uri, reason) for uri, _, reason, _ in fragile.rejects()) == sorted(
        (item["uri"], "killed_the_process") for item in found
    )
    assert fragile.run() == 0
    assert fragile.receipt["outcome"] == "nothing_to_do"
    # Once the decoder is mended, the command that the reason names has it read again.
    monkeypatch.delenv("FRAGILE")
    for item in found:
        command = shlex.split("ktrans state forget" + item["reason"].partition("state forget")[2])
        subprocess.run([sys.executable, "-m", *command, "--yes"], check=True, capture_output=True)
    assert fragile.run() == 0, fragile.stderr
    assert configured(clean).run() == 0
    assert fragile.lake() == clean.lake()
    assert fragile.lines() == clean.lines()


def test_an_object_is_named_that_the_kernel_kills_the_process_for(fragile, logs, monkeypatch):
    """As it does without memory: the signal is the same as that of an operator."""
    folder = logs(0, 6, bad=0)
    spoil(folder / "00002.log.gz")
    monkeypatch.setenv("FRAGILE", str(int(signal.SIGKILL)))
    assert [fragile.run(), fragile.run()] == [-signal.SIGKILL] * 2
    assert fragile.run() == 65, fragile.stderr
    [found] = fragile.receipt["quarantined"]
    assert found["uri"].endswith("00002.log.gz")
    assert "(SIGKILL)" in found["reason"]
    assert len(rows_by_file(fragile)) == 5


def test_a_slow_object_is_not_taken_for_one_that_kills(fragile, clean, logs, monkeypatch):
    """Runs that are killed from outside, always while the same object is read, blame nothing."""
    folder = logs(0, 6, bad=0)
    spoil(folder / "00002.log.gz")
    monkeypatch.setenv("FRAGILE", "slow")
    rng = random.Random(5)
    for _ in range(7):
        process = fragile.start()
        try:
            process.communicate(timeout=rng.uniform(1.5, 3))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    assert fragile.run() == 0, fragile.stderr
    assert configured(clean).run() == 0
    assert fragile.lake() == clean.lake()
    assert fragile.rejects() == clean.rejects()


def test_runs_that_end_with_an_error_are_no_deaths(fragile, logs, monkeypatch):
    folder = logs(0, 6, bad=0)
    blocked = fragile.folder / "lake"
    blocked.write_text("no folder")
    for _ in range(3):
        assert fragile.run() not in {0, 65}
    blocked.unlink()
    assert fragile.run() == 0
    assert "processes died" not in fragile.stderr
    assert len(rows_by_file(fragile)) == len(list(folder.iterdir()))


def test_an_object_that_kills_workers_is_named_in_the_same_run(fragile, logs, monkeypatch):
    """The process of the run goes on: it counts the deaths of its workers, and reads on without it."""
    folder = logs(0, 12, bad=0)
    spoil(folder / "00003.log.gz")
    configured(fragile, executor="processes")
    monkeypatch.setenv("FRAGILE", str(int(signal.SIGSEGV)))
    assert fragile.run() == 65, fragile.stderr
    [found] = fragile.receipt["quarantined"]
    assert found["uri"].endswith("00003.log.gz")
    assert found["code"] == "killed_the_process"
    others = [path.name for path in folder.iterdir() if path.name != "00003.log.gz"]
    assert rows_by_file(fragile) == dict.fromkeys(others, ROWS)
    assert fragile.hidden() == []
