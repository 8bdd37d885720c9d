"""Runs that die at random moments lose nothing and publish nothing twice."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest

KILLS = 50


@pytest.mark.slow
def test_fifty_kills_over_a_growing_corpus(site, clean, logs):
    """SIGKILL at random moments; new files arrive whenever a run gets through."""
    logs(0, 100)
    files = 100
    site.write_config()
    rng = random.Random(4)
    kills = finished = 0
    while kills < KILLS:
        process = site.start()
        try:
            process.communicate(timeout=rng.uniform(0.3, 1.6))
            finished += 1
            logs(files, 20)
            files += 20
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        for sink in ("lake", "lines"):
            for path in site.visible(sink):
                assert path.stat().st_size > 0
    code = site.run()
    assert code == 0, site.stderr
    assert clean.write_config().run() == 0
    site.check_same(clean)
    assert sum(site.lake().values()) == files * 300
    assert sum(site.rejects().values()) == files * 3
    assert site.run() == 0
    assert site.receipt["outcome"] == "nothing_to_do"


@pytest.mark.slow
def test_sigterm_drains_and_leaves_nothing_half_done(site, clean, logs):
    logs(0, 60, rows=2000)
    site.write_config(epoch_splits=5)
    process = site.start()
    while process.poll() is None and not site.visible("lake"):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert site.hidden() == []
    assert 0 < sum(site.lake().values()) < 60 * 2000
    assert site.run() == 0
    assert clean.write_config().run() == 0
    site.check_same(clean)


@pytest.mark.slow
def test_kills_while_one_file_cannot_be_read(site, clean, logs):
    """A file without permission waits; the others go through; once mended it arrives, once."""
    folder = logs(0, 40)
    blocked = folder / "00020.log.gz"
    site.write_config()
    site.drop_privileges()
    blocked.chmod(0)
    rng = random.Random(7)
    for _ in range(8):
        process = site.start()
        try:
            process.communicate(timeout=rng.uniform(0.4, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    assert site.run() == 77
    assert "00020.log.gz" in site.receipt["quarantined"][0]["uri"]
    assert sum(site.lake().values()) == 39 * 300
    blocked.chmod(0o644)
    assert site.run() == 0
    assert clean.write_config().run() == 0
    site.check_same(clean)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 3 MB, mounted for one test."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(mount)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        if os.environ.get("KTRANS_REQUIRE_SERVICES"):
            pytest.fail("cannot mount a tmpfs, and KTRANS_REQUIRE_SERVICES is set")
        pytest.skip("cannot mount a tmpfs (not root?)")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_room_lets_it_resume(tiny_disk, site, clean, logs):
    logs(0, 60, rows=1500)
    site.folder = tiny_disk
    site.config = tiny_disk / "pipeline.yaml"
    site.write_config(attempts=2)
    filler = tiny_disk / "filler"
    filler.write_bytes(b"x" * 2_000_000)
    code = site.run("--workers", "2")
    assert code == 75, (code, site.stderr)
    assert "space" in site.stderr.lower()
    assert sum(site.lake().values()) < 60 * 1500
    for path in site.visible("lake"):
        assert path.stat().st_size > 0
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=200m", str(tiny_disk)], check=True)
    assert site.run() == 0, site.stderr
    assert clean.write_config().run() == 0
    site.check_same(clean)
