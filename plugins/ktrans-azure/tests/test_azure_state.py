"""The Azure Blob state store keeps its contract, on a server that heeds conditions."""

import pytest

from ktrans.api import ConfigError, Context
from ktrans.registry.catalogue import Catalogue
from ktrans.state.store import hold_store
from ktrans.testing.contracts import BucketStateCase, StateBucketContract, StateTakeoverContract

pytestmark = pytest.mark.service("azurite")


class AzureCase(BucketStateCase):
    def __init__(self, world):
        self.world = world

    def state(self, **options):
        raw = {
            "type": "azure_blob",
            "container": self.world.name,
            "connection_string": self.world.azurite.connection_string,
            "checkpoint_entries": 8,
        }
        catalogue = Catalogue()
        config = catalogue.config("state", {**raw, **options})
        return catalogue.build("state", config, Context(registry=catalogue))


@pytest.fixture
def azure(world):
    return AzureCase(world)


class TestAzureState(StateTakeoverContract):
    covers = ("azure_blob",)

    @pytest.fixture
    def case(self, azure):
        return azure


class TestAzureStateBucket(StateBucketContract):
    @pytest.fixture
    def bucket(self, azure):
        with azure.state() as state:
            yield state.bucket


def test_a_check_writes_nothing_that_stays(azure):
    with azure.state() as state:
        state.check()
    assert list(azure.world.container.list_blobs()) == []


def test_a_container_that_is_not_there_is_named(azure):
    with azure.state(container="not-there-at-all") as state:
        with pytest.raises(ConfigError, match="not-there-at-all"):
            state.check()
        with pytest.raises(ConfigError, match="not-there-at-all"):
            hold_store(state, "p").__enter__()
