"""The Cloud Storage state store keeps its contract, on a server that heeds conditions of uploads."""

import uuid

import pytest

from ktrans.api import ConfigError, Context
from ktrans.registry.catalogue import Catalogue
from ktrans.state.store import hold_store
from ktrans.testing.contracts import BucketStateCase, StateBucketContract, StateTakeoverContract

pytestmark = pytest.mark.service("gcs")


class GcsCase(BucketStateCase):
    def __init__(self, server):
        self.server = server
        self.client = server.client()
        self.name = f"state-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(self.name)

    def state(self, **options):
        raw = {"type": "gcs", "bucket": self.name, "endpoint": self.server.url, "anonymous": True}
        catalogue = Catalogue()
        config = catalogue.config("state", {**raw, "checkpoint_entries": 8, **options})
        return catalogue.build("state", config, Context(registry=catalogue))


@pytest.fixture
def gcs_case(gcs_server):
    return GcsCase(gcs_server)


class TestGcsState(StateTakeoverContract):
    covers = ("gcs",)

    @pytest.fixture
    def case(self, gcs_case):
        return gcs_case


class TestGcsStateBucket(StateBucketContract):
    @pytest.fixture
    def bucket(self, gcs_case):
        with gcs_case.state() as state:
            yield state.bucket


def test_a_check_writes_nothing_that_stays(gcs_case):
    with gcs_case.state() as state:
        state.check()
    assert list(gcs_case.client.list_blobs(gcs_case.name)) == []


def test_a_bucket_that_is_not_there_is_named(gcs_case):
    with gcs_case.state(bucket="not-there-at-all") as state:
        with pytest.raises(ConfigError, match="not-there-at-all"):
            state.check()
        with pytest.raises(ConfigError, match="not-there-at-all"):
            hold_store(state, "p").__enter__()
