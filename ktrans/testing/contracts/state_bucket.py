"""The contract of buckets for state: of many first writes of an object, one succeeds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ktrans.kit.objects.store import ConditionalStore
from ktrans.testing.contracts.state import StateCase

RACERS = 8


class StateBucketContract:
    """Subclass it and give a fixture `bucket` over an empty bucket."""

    @pytest.fixture
    def bucket(self) -> ConditionalStore:
        """Return the bucket."""
        raise NotImplementedError

    def test_an_object_is_created_once(self, bucket: ConditionalStore) -> None:
        """The second is refused and changes nothing."""
        version = bucket.create("a/b", b"1")
        assert version is not None
        assert bucket.create("a/b", b"2") is None
        assert bucket.read("a/b") == (b"1", version)

    def test_an_object_is_replaced_at_the_version_that_is_meant(
        self, bucket: ConditionalStore
    ) -> None:
        """Another version, or none at all, is refused."""
        first = bucket.create("a", b"1")
        assert first is not None
        second = bucket.replace("a", b"2", first)
        assert second is not None
        assert second != first
        assert bucket.replace("a", b"3", first) is None
        assert bucket.read("a") == (b"2", second)
        bucket.delete("a")
        bucket.delete("a")
        assert bucket.read("a") is None
        assert bucket.replace("a", b"4", second) is None
        assert bucket.read("a") is None

    def test_of_many_who_create_an_object_one_does(self, bucket: ConditionalStore) -> None:
        """What is read afterwards is what that one wrote."""
        with ThreadPoolExecutor(RACERS) as threads:
            for number in range(5):
                key = f"race/{number}"
                made = list(
                    threads.map(lambda i, k=key: bucket.create(k, str(i).encode()), range(RACERS))
                )
                (winner,) = [index for index, version in enumerate(made) if version is not None]
                assert bucket.read(key) == (str(winner).encode(), made[winner])

    def test_of_many_who_replace_a_version_one_does(self, bucket: ConditionalStore) -> None:
        """The others are told."""
        version = bucket.create("race", b"-")
        assert version is not None
        with ThreadPoolExecutor(RACERS) as threads:
            made = list(
                threads.map(
                    lambda i: bucket.replace("race", str(i).encode(), version), range(RACERS)
                )
            )
        (winner,) = [index for index, newer in enumerate(made) if newer is not None]
        assert bucket.read("race") == (str(winner).encode(), made[winner])

    def test_names_are_listed_in_order(self, bucket: ConditionalStore) -> None:
        """From after a name on, and folders of one level."""
        names = [f"s/p/log/{number:020}.json.gz" for number in (1, 2, 10, 11)]
        for name in [*reversed(names), "s/p/lease.json", "s/p2/lease.json", "t/x"]:
            bucket.create(name, b"x")
        assert [found.key for found in bucket.list("s/p/log/")] == names
        assert [found.key for found in bucket.list("s/p/log/", names[1])] == names[2:]
        assert list(bucket.list("nothing/")) == []
        assert sorted(map(str, bucket.level("s/"))) == ["s/p/", "s/p2/"]

    def test_bytes_come_back_as_they_were_written(self, bucket: ConditionalStore) -> None:
        """Bytes that look compressed, none at all, and a few megabytes."""
        for number, data in enumerate((b"\x1f\x8b\x08\x00gzip?", b"", bytes(range(256)) * 20_000)):
            bucket.create(f"data/{number}", data)
            found = bucket.read(f"data/{number}")
            assert found is not None
            assert found.data == data


def expire(bucket: ConditionalStore, pipeline: str = "p", prefix: str = "ktrans/state/") -> None:
    """Let the lease on a pipeline run out, as if its holder had stood still."""
    key = f"{prefix}{pipeline}/lease.json"
    found = bucket.read(key)
    assert found is not None
    told = {**json.loads(found.data), "until": "2026-01-01T00:00:00+00:00"}
    assert bucket.replace(key, json.dumps(told).encode(), found.version) is not None


class BucketStateCase(StateCase):
    """A state store in a bucket; give `state`."""

    def expire(self) -> None:
        """Write into the lease that it is over."""
        with self.state() as state:
            expire(state.bucket)  # type: ignore[attr-defined]
