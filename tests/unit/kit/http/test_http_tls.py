"""Certificates of servers and clients, made by openssl."""

import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from ktrans.api import ConfigError, Context, RetryableError, RunError, UnavailableError
from ktrans.kit.http.client import HttpClient
from ktrans.kit.http.options import HttpConfig
from ktrans.testing.http_stub import HttpStub

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not there")


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """A certificate for 127.0.0.1 that stands for itself, and another one, with their keys."""
    folder = tmp_path_factory.mktemp("pems")
    for name in ("mine", "other"):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-days", "2"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(pems):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pems / "mine.pem", pems / "mine.key")
    tls.load_verify_locations(pems / "mine.pem")
    with HttpStub(tls=tls) as stub:
        yield stub


def get(stub, pems, **files):
    chosen = {name: str(pems / file) for name, file in files.items()}
    client = HttpClient(HttpConfig(type="x", **chosen), Context())
    try:
        return client.request("GET", stub.url).status
    finally:
        client.close()


def test_a_server_is_verified(secure, pems):
    assert get(secure, pems, ca_file="mine.pem") == 200
    for files in ({}, {"ca_file": "other.pem"}):
        with pytest.raises(UnavailableError, match="no secure connection"):
            get(secure, pems, **files)
    client = HttpClient(HttpConfig(type="x", verify_tls=False), Context())
    assert client.request("GET", secure.url).status == 200
    client.close()


def test_a_client_shows_its_certificate(secure, pems):
    secure.tls.verify_mode = ssl.CERT_REQUIRED
    mine = {"client_certificate": "mine.pem", "client_key": "mine.key"}
    assert get(secure, pems, ca_file="mine.pem", **mine) == 200
    with pytest.raises(RunError):
        get(secure, pems, ca_file="mine.pem")


def test_a_server_that_goes_down_is_away(pems):
    """As a balancer does that has no server behind it: it takes the first bytes, and closes."""

    def close():
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=close)
        thread.start()
        client = HttpClient(HttpConfig(type="x"), Context())
        with pytest.raises(RetryableError, match="does not answer"):
            client.request("GET", f"https://127.0.0.1:{listening.getsockname()[1]}/")
        thread.join()
    client.close()


def test_files_that_are_no_certificates_are_named(secure, pems):
    with pytest.raises(ConfigError, match="client_certificate"):
        get(secure, pems, client_certificate="mine.key")
    with pytest.raises(ConfigError, match="ca_file"):
        get(secure, pems, ca_file="nowhere.pem")
