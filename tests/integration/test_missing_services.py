"""Starting servers for tests: what is missing, what dies, what is slow, and what is left behind."""

import os
import subprocess
import sys

import pytest

from tests.services._launch import (
    MissingServerError,
    Server,
    ServerFailedError,
    answers_http,
    find,
    free_ports,
    launch,
)

HTTP = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1")


def web(ports, _):
    return [*HTTP, str(ports[0])]


def test_a_server_serves_until_it_is_closed():
    server = launch(lambda: Server("web", web, lambda ports: answers_http(ports[0])))
    port, folder = server.ports[0], server.folder
    assert answers_http(port)
    server.kill()
    with pytest.raises(OSError):
        answers_http(port)
    server.start()
    assert answers_http(port)
    server.close()
    assert not folder.exists()
    with pytest.raises(OSError):
        answers_http(port)


def test_a_server_that_dies_is_tried_once_more_and_then_shows_its_log():
    starts = []

    def command(ports, folder):
        starts.append(ports)
        return [sys.executable, "-c", "print('no room for', 'a server'); raise SystemExit(3)"]

    with pytest.raises(ServerFailedError, match=r"(?s)frail ended with code 3.*no room for a serv"):
        launch(lambda: Server("frail", command, lambda ports: answers_http(ports[0])))
    assert len(starts) == 2


def test_a_server_that_never_serves_is_ended():
    server = Server(
        "deaf",
        lambda ports, _: [sys.executable, "-c", "import time; time.sleep(600)"],
        lambda ports: False,
        timeout_secs=0.2,
    )
    with pytest.raises(ServerFailedError, match="deaf does not serve after"):
        server.start()
    server.close()


def test_ports_differ():
    assert len(set(free_ports(5))) == 5


def test_a_binary_is_found_by_variable_then_folder_then_path(tmp_path, monkeypatch):
    monkeypatch.setenv("KTRANS_SERVICES_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingServerError, match=r"make services.*KTRANS_THING_BIN"):
        find("thing", "a/thing", program="thing")
    (tmp_path / "path").mkdir()
    on_path = tmp_path / "path" / "thing"
    on_path.touch(0o755)
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find("thing", "a/thing", program="thing") == on_path
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thing").touch()
    assert find("thing", "a/thing", program="thing") == tmp_path / "a" / "thing"
    monkeypatch.setenv("KTRANS_THING_BIN", str(tmp_path / "mine"))
    with pytest.raises(MissingServerError, match="does not exist"):
        find("thing", "a/thing", program="thing")
    (tmp_path / "mine").touch()
    assert find("thing", "a/thing", program="thing") == tmp_path / "mine"


@pytest.mark.parametrize(
    ("required", "outcome"),
    [("", "1 skipped"), ("kafka", "1 skipped"), ("gcs, kafka", "1 error"), ("all", "1 error")],
)
def test_a_missing_server_skips_unless_it_is_required(tmp_path, required, outcome):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.services.fixtures"]')
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = service(name): x\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.service('gcs')\ndef test_it():\n    assert False\n"
    )
    environ = {
        **os.environ,
        "KTRANS_SERVICES_DIR": str(tmp_path / "nothing"),
        "KTRANS_GCS_BIN": str(tmp_path / "nothing"),
        "KTRANS_REQUIRE_SERVICES": required,
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        check=False,
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert outcome in done.stdout, done.stdout + done.stderr
