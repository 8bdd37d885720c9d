"""A test run that is killed leaves no server behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TEST = """
import os, sys, time
from pathlib import Path
from tests.services._launch import Server, accepts_tcp

def test_that_never_ends():
    def command(ports, folder):
        return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(ports[0])]

    gone = Server("gone", command, lambda ports: accepts_tcp(ports[0]))
    gone.start()
    gone.close()
    server = Server("stays", command, lambda ports: accepts_tcp(ports[0]))
    server.start()
    told = Path(os.environ["TOLD"])
    told.with_suffix(".tmp").write_text(f"{os.getpid()} {server._process.pid} {server.folder}")
    told.with_suffix(".tmp").replace(told)
    time.sleep(600)
"""


def until(true, what):
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def alive(pid):
    """Tell whether a process runs; one that only waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize("more", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_servers_end_with_a_test_process_that_is_killed(tmp_path, more):
    (tmp_path / "test_it.py").write_text(TEST)
    told = tmp_path / "told"
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *more, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "TOLD": str(told)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(told.exists, "the test does not start")
        tester, server, folder = told.read_text().split(" ", 2)
        assert alive(server)
        os.kill(int(tester), signal.SIGKILL)
        until(lambda: not alive(server), "the server goes on")
        until(lambda: not Path(folder).exists(), "its folder stays")
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
