"""Secrets never stand in a line of the log, whatever way they take."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ktrans.config.load import load_pipeline
from ktrans.observe.logs import set_up
from ktrans.registry import redaction
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.redaction import Redactor, redact
from ktrans.registry.values import MASK
from tests.examples import examples


@pytest.fixture(autouse=True)
def _secrets_as_they_were(monkeypatch):
    monkeypatch.setattr(redaction._process, "_known", set())
    monkeypatch.setattr(redaction._process, "_pattern", None)


def written(capsys):
    return capsys.readouterr().err


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    secret=st.text(st.characters(codec="utf-8"), min_size=3, max_size=40),
    before=st.text(max_size=10),
    form=st.sampled_from(
        ["message", "argument", "field", "key", "nested", "error", "url", "basic"]
    ),
    log_format=st.sampled_from(["json", "text"]),
)
@pytest.mark.slow
def test_a_known_secret_is_in_no_line(capsys, secret, before, form, log_format):
    vars(redaction._process).update(_known=set(), _pattern=None)
    log = logging.getLogger("ktrans.x")
    set_up(2, log_format)

    def say(hidden):
        if form == "message":
            log.warning("%s", before + hidden)
        elif form == "argument":
            log.warning("%s and %r", hidden, [hidden])
        elif form == "field":
            log.warning("x", extra={"what": before + hidden})
        elif form == "key":
            log.warning("x", extra={"what": {before + hidden: 1}})
        elif form == "nested":
            log.warning("x", extra={"what": [{"a": (hidden, {hidden})}]})
        elif form == "error":
            try:
                raise ValueError(before + hidden)
            except ValueError:
                log.exception("failed")
        elif form == "url":
            log.warning("GET http://host/?a=%s&b=%s", quote(hidden, safe=""), quote_plus(hidden))
        else:
            log.warning("Got %s", base64.b64encode(hidden.encode()).decode())

    say("")
    without = written(capsys)
    spellings = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")}
    spellings.add(base64.b64encode(secret.encode()).decode())
    assume(not any(spelling in without + MASK + before for spelling in spellings))
    assume(secret.strip() and not set(secret) <= set("*, '\"[]{}\\\n"))
    redaction.learn_secrets([secret])
    say(secret)
    line = written(capsys)
    assert not [spelling for spelling in spellings if spelling in line]
    if log_format == "json":
        json.loads(line)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET https://user:hunter2@host/x", "hunter2"),
        ("GET https://ghp_token@host/x", "ghp_token"),
        ("https://a.blob.core.windows.net/c?sv=2026&sig=aB%2Bc%3D&se=1", "aB%2Bc"),
        ("PUT /b/k?X-Amz-Signature=0a1b2c3d&X-Amz-Expires=60", "0a1b2c3d"),
        ("/?X-Amz-Credential=AKIDEXAMPLE%2F20261123&x=1", "AKIDEXAMPLE"),
        ("/?X-Goog-Signature=77ff00&y=1", "77ff00"),
        (
            "headers={'Authorization': b'AWS4-HMAC-SHA256 Credential=AK, Signature=ff00aa'}",
            "ff00aa",
        ),
        ('"authorization": "Token s3cr3t-token"', "s3cr3t-token"),
        ("Authorization: Basic dXNlcjpwYXNz\r\nHost: x", "dXNlcjpwYXNz"),
        ("{'X-Amz-Security-Token': b'IQoJb3JpZ2luX2Vj'}", "IQoJb3JpZ2luX2Vj"),
        ("DefaultEndpointsProtocol=https;AccountKey=Zm9vYmFy==;X=1", "Zm9vYmFy"),
        ("Endpoint=sb://x;SharedAccessKey=abc123==", "abc123"),
        ("password=opensesame host=db", "opensesame"),
        ('{"client_secret": "q1w2e3", "a": 1}', "q1w2e3"),
        ("sasl.password=letmein", "letmein"),
        ("aws_secret_access_key = wJalrXUtnFEMI", "wJalrXUtnFEMI"),
        ("curl -H 'x: Bearer eyJhbGciOi.J9.abc'", "eyJhbGciOi"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpA\nabc\n-----END RSA PRIVATE KEY-----", "MIIEpA"),
    ],
)
def test_credentials_are_known_by_their_forms(text, secret):
    assert secret not in redact(text)
    assert MASK in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/AWSLogs/123456789012/vpcflowlogs/2026/11/23/a.log.gz was read",
        "the token expired; the password is wrong; see the key of the map",
        "alice@example.org asked for https://host:8443/path?page=2",
        "http://127.0.0.1:9000/bucket?list-type=2&prefix=a/@b",
    ],
)
def test_plain_texts_stay_as_they_are(text):
    assert redact(text) == text


def test_a_field_with_the_name_of_a_secret_is_masked_whole(capsys):
    set_up(1, "json")
    logging.getLogger("x").warning("m", extra={"db_password": "a b c", "tokens": 5, "keyword": "k"})
    line = json.loads(written(capsys))
    assert (line["db_password"], line["tokens"], line["keyword"]) == (MASK, 5, "k")


def test_what_is_part_of_a_secret_is_one_itself():
    pem = (
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAoIB\n-----END"
    )
    redaction.learn_secrets(
        ["AccountName=a;AccountKey=Zm9vYmFyYmF6;Suffix=x", "https://u:p%40ssword@h/", pem]
    )
    assert "Zm9vYmFyYmF6" not in redact("signed with Zm9vYmFyYmF6")
    assert "p@ssword" not in redact("tried p@ssword")
    assert "MIIEvQIBADANBgkqhkiG9w0" not in redact("key MIIEvQIBADANBgkqhkiG9w0")


PIPELINE = """\
name: demo
source: {type: file, paths: [a.log]}
sinks:
  - {type: kafka, bootstrap_servers: [h:9092], topic: t, username: someone,
     sasl_mechanism: PLAIN, tls: true, password: "${env:ANY_PASSWORD}"}
"""


def test_secrets_of_a_pipeline_file_are_known_once_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("ANY_PASSWORD", "correct horse")
    (tmp_path / "p.yaml").write_text(PIPELINE)
    assert redact("correct horse") == "correct horse"
    load_pipeline(tmp_path / "p.yaml", Catalogue())
    assert redact("is it correct horse?") == f"is it {MASK}?"
    assert redact("someone at h:9092") == "someone at h:9092"


def test_tracebacks_of_debug_show_no_secret(tmp_path):
    code = (
        "from ktrans.registry.redaction import learn_secrets\n"
        "from ktrans.cli import failures\n"
        "import click\n"
        "learn_secrets(['open sesame'])\n"
        "@click.command()\n@click.option('--debug', is_flag=True)\n"
        "def cli(debug):\n    secret_local = 'open sesame'\n"
        "    raise RuntimeError('no ' + secret_local)\n"
        "failures.guarded(cli, ['--debug'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "RuntimeError" in result.stderr
    assert "open sesame" not in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "{'password': 'open the sesame'}",
        '"api_key": "open the sesame"',
        'sasl.jaas.config=... username="u" password="open the sesame";',
        r'{"body": "{\"password\": \"open the sesame\"}"}',
        "postgresql://user:open@sesame@host/db",
    ],
)
def test_credentials_with_blanks_and_signs_are_masked_whole(text):
    assert "sesame" not in redact(text)


@pytest.mark.parametrize(
    "text", ['{"client_secret": "q1w2 e3", "a": "b"}', r'{"body": "{\"password\": \"x y\"}"}']
)
def test_json_within_a_text_stays_json(text):
    assert list(json.loads(redact(text)).values())


def test_an_exit_code_is_no_credential():
    assert redact("the helper ended with exit code=3") == "the helper ended with exit code=3"
    assert "s3cret" not in redact("GET /callback?code=s3cret")


@pytest.mark.parametrize("user", ["u", "user", "a name"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_is_found_within_what_is_in_base64(user, encode):
    redaction.learn_secrets(["opensesame"])
    shown = redact(encode(f"{user}:opensesame".encode()).decode())
    assert MASK in shown
    assert b"sesam" not in base64.urlsafe_b64decode(shown.split(MASK)[0] + "====")
    assert len(shown.split(MASK)[1]) <= 4


@pytest.mark.parametrize("word", ["message", "rows", "level", "logger", "warning"])
def test_a_secret_that_is_a_common_word_leaves_the_form_of_a_line(capsys, word):
    redaction.learn_secrets([word])
    set_up(0, "json")
    logging.getLogger("ktrans.x").warning("it is %s", word, extra={"rows": 3})
    line = json.loads(written(capsys))
    assert {"timestamp", "level", "event", "message", "logger", "rows"} == set(line)
    assert (line["level"], line["rows"], line["message"]) == ("warning", 3, f"it is {MASK}")


def test_a_number_that_is_none_leaves_a_line_json(capsys):
    set_up(0, "json")
    logging.getLogger("ktrans.x").warning(
        "x", extra={"seconds": float("nan"), "of": [float("inf")]}
    )
    line = json.loads(written(capsys), parse_constant=pytest.fail)
    assert (line["seconds"], line["of"]) == ("nan", ["inf"])


def test_a_thousand_secrets_of_a_fleet_are_learnt_one_by_one():
    redactor = Redactor()
    for number in range(1000):
        redactor.learn([f"{number:04}-opensesame"])
    assert redactor.text("key 0007-opensesame, 0999-opensesame") == f"key {MASK}, {MASK}"
