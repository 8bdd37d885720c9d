"""The S3 state store keeps its contract, on a server that heeds conditions."""

import json
import subprocess
import sys

import pytest

from ktrans.api import ConfigError
from ktrans.state.store import hold_store
from ktrans.testing.contracts import BucketStateCase, StateBucketContract, StateTakeoverContract

pytestmark = pytest.mark.service("s3")


class S3Case(BucketStateCase):
    def __init__(self, cloud):
        self.cloud = cloud

    def state(self, **options):
        raw = {"type": "s3", "bucket": self.cloud.bucket, "checkpoint_entries": 8}
        return self.cloud.make("state", {**raw, **self.cloud.access, **options})


@pytest.fixture
def s3(cloud):
    return S3Case(cloud)


class TestS3State(StateTakeoverContract):
    covers = ("s3",)

    @pytest.fixture
    def case(self, s3):
        return s3


class TestS3StateBucket(StateBucketContract):
    @pytest.fixture
    def bucket(self, s3):
        with s3.state() as state:
            yield state.bucket


def test_a_check_writes_nothing_that_stays(s3):
    with s3.state() as state:
        state.check()
    assert s3.cloud.keys() == []


def test_a_check_names_a_bucket_that_is_not_there(s3):
    with s3.state(bucket="not-there-at-all") as state, pytest.raises(ConfigError) as caught:
        state.check()
    assert caught.value.code == "bucket_missing"


def test_objects_are_encrypted_by_the_key_that_is_asked_for(s3):
    with s3.state(kms_key="alias/state") as state, hold_store(state, "p"):
        pass
    keys = s3.cloud.keys()
    assert len(keys) == 2
    for key in keys:
        found = s3.cloud.s3.head_object(Bucket=s3.cloud.bucket, Key=key)
        assert found["ServerSideEncryption"] == "aws:kms"
        assert found["SSEKMSKeyId"].endswith("alias/state")


def test_the_command_line_works_on_state_in_a_bucket(s3, tmp_path):
    place = {"type": "s3", "bucket": s3.cloud.bucket, **s3.cloud.access}
    tree = {
        "name": "told",
        "source": {"type": "generate", "rows": 500},
        "sinks": [{"type": "blackhole"}],
        "rejects": {"type": "blackhole"},
        "state": place,
    }
    (tmp_path / "p.yaml").write_text(json.dumps(tree))

    def ktrans(*args):
        done = subprocess.run(
            [sys.executable, "-m", "ktrans", *args],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    ktrans("validate", "--connect", "p.yaml")
    assert s3.cloud.keys() == []
    ktrans("plan", "p.yaml")
    assert s3.cloud.keys() == []
    ktrans("run", "-q", "p.yaml")
    told = json.loads(ktrans("state", "show", "--json", "p.yaml"))
    assert told["state"] == f"s3://{s3.cloud.bucket}/ktrans/state/"
    assert [epoch["status"] for epoch in told["epochs"]] == ["done"]
    found = json.loads(ktrans("doctor", "--json", "p.yaml"))["findings"]
    verdicts = {item["verdict"] for item in found if item["subject"] == "p.yaml: state"}
    assert verdicts == {"ok"}
    ktrans("state", "reset", "--yes", "p.yaml")
    assert json.loads(ktrans("state", "show", "--json", "p.yaml"))["epochs"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.yaml"]
