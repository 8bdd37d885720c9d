"""What every state store owes the engine, held to the file and to a bucket in memory."""

import pytest

from ktrans.api import Context
from ktrans.state.sqlite import SqliteState, SqliteStateConfig
from ktrans.testing.contracts import (
    BucketStateCase,
    StateBucketContract,
    StateCase,
    StateContract,
    StateTakeoverContract,
)
from ktrans.testing.memory_state import MemoryBucketState, MemoryStateBucket


class SqliteCase(StateCase):
    def __init__(self, folder):
        self.folder = folder

    def state(self):
        return SqliteState(SqliteStateConfig(path="state.db"), Context(base_dir=self.folder))


class MemoryCase(BucketStateCase):
    def __init__(self):
        self.bucket = MemoryStateBucket()

    def state(self):
        return MemoryBucketState(self.bucket, checkpoint_entries=4)


class TestSqlite(StateContract):
    covers = ("sqlite",)

    @pytest.fixture
    def case(self, tmp_path):
        return SqliteCase(tmp_path)


class TestBucket(StateTakeoverContract):
    @pytest.fixture
    def case(self):
        return MemoryCase()


class TestMemoryBucket(StateBucketContract):
    @pytest.fixture
    def bucket(self):
        return MemoryStateBucket()
