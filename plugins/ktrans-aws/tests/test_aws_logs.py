"""What boto3 and its HTTP library log under -vv has no secret in it."""

import json
import os
import subprocess
import sys

import pytest

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEHMaCXVzLWVhc3QtMSJHMEUCIQDtoken"


@pytest.mark.service("s3")
def test_debugging_of_the_sdk_shows_no_secret(cloud, tmp_path):
    cloud.put(
        "logs/a.log", b"2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 1 1767225600 1767225660 ACCEPT OK\n"
    )
    access = {
        **cloud.access,
        "secret_access_key": "${env:S3_SECRET}",
        "session_token": "${env:S3_TOKEN}",
    }
    source = {"type": "s3", "bucket": cloud.bucket, "prefix": "logs/", "layout": "plain", **access}
    sink = {"type": "s3", "bucket": cloud.bucket, "path": "out/", **access}
    (tmp_path / "p.yaml").write_text(json.dumps({"source": source, "sinks": [sink]}))
    told = subprocess.run(
        [sys.executable, "-m", "ktrans", "run", "-vv", "--log-format", "json", "p.yaml"],
        cwd=tmp_path,
        env={**os.environ, "S3_SECRET": SECRET, "S3_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = [line for line in told.stderr.splitlines() if line.startswith("{")]
    loggers = {json.loads(line)["logger"].split(".")[0] for line in lines}
    assert {"ktrans", "botocore"} <= loggers
    text = told.stderr + told.stdout
    assert "Authorization" in text
    for secret in (SECRET, TOKEN):
        assert secret not in text
        assert secret.split("/")[0] not in text
