"""A DNS server in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest


class DnsServer:
    """The server; `asked` counts the questions of each name."""

    def __init__(self, folder):
        self._log = folder / "questions.txt"
        self._log.touch()
        self.port = 0
        self.start()

    def start(self):
        script = Path(__file__).with_name("dns_server.py")
        command = [sys.executable, str(script), str(self.port), str(self._log)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def asked(self):
        names = self._log.read_text().split()
        return {name: names.count(name) for name in names}

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def dns_server(tmp_path_factory):
    server = DnsServer(tmp_path_factory.mktemp("dns"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def lasting_server(tmp_path_factory):
    """A server that several tests use, and none stops."""
    server = DnsServer(tmp_path_factory.mktemp("dns"))
    yield server
    server.stop()
