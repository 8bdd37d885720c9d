"""Any blobs of a container: listed, pinned by ETag, read once."""

import gzip
import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from ktrans_azure.account import Account
from ktrans_azure.blob_container import BlobContainer
from ktrans_azure.blob_source_config import AzureBlobSourceConfig
from ktrans_azure.build_source import build

from ktrans.api import Budget, Context, SplitChangedError
from ktrans.testing.contracts.sources import PlainMemory, SourceCase, SourceContract, drain, read

pytestmark = pytest.mark.service("azurite")


@pytest.fixture(params=[False, True], ids=["flat", "hierarchical"])
def store(request, world):
    config = AzureBlobSourceConfig(**world.options())
    made = BlobContainer(Account(config, Context()), world.name, hierarchical=request.param)
    yield made
    made.close()


NAMES = ["a", "a-b/c", "a/b", "a/b/c", "a/\N{LATIN SMALL LETTER E WITH ACUTE}", "b c", "z+%41/=x"]


def test_listings_are_in_the_order_of_names_and_go_on_behind_any(store, world, monkeypatch):
    monkeypatch.setattr("ktrans_azure.blob_container.PAGE_BLOBS", 2)
    for name in NAMES:
        world.container.upload_blob(name, name.encode())
    whole = sorted(NAMES, key=str.encode)
    assert [info.key for info in store.list("")] == whole
    for at, name in enumerate(whole):
        assert [info.key for info in store.list("", name)] == whole[at + 1 :]
    assert [info.key for info in store.list("a/")] == [n for n in whole if n.startswith("a/")]
    assert [info.key for info in store.list("a")] == [n for n in whole if n.startswith("a")]


def test_a_level_has_blobs_and_folders(store, world):
    for name in NAMES:
        world.container.upload_blob(name, b"x")
    found = {i if isinstance(i, str) else i.key for i in store.level("")}
    assert found == {"a", "a/", "a-b/", "b c", "z+%41/"}


def test_what_a_listing_says_is_what_a_look_says(store, world):
    world.container.upload_blob("a/b", b"12345")
    (listed,) = store.list("")
    assert store.stat("a/b") == listed
    assert listed.size == 5
    assert store.stat("a/c") is None


def test_a_version_is_read_or_nothing_is(store, world):
    world.container.upload_blob("a", b"0123456789")
    old = store.stat("a")
    assert store.open("a", old.version, 2, 5).read(100) == b"234"
    world.container.upload_blob("a", b"other", overwrite=True)
    with pytest.raises(SplitChangedError):
        store.open("a", old.version, 2, 5).read(100)
    world.container.delete_blob("a")
    with pytest.raises(SplitChangedError) as caught:
        store.open("a", old.version, 2, 5).read(100)
    assert caught.value.code == "split_vanished"


class Case(SourceCase):
    def __init__(self, world):
        self.world = world

    def build(self):
        source = build(AzureBlobSourceConfig(**self.world.options(layout="auto")), Context())
        now = datetime.now(UTC) + timedelta(minutes=10)
        source.now = lambda: now
        return source


class TestContract(SourceContract):
    covers = ("azure_blob",)

    @pytest.fixture
    def case(self, world):
        rng = random.Random(3)
        for number in range(6):
            day = f"2026/02/{16 + number % 3}"
            world.container.upload_blob(f"{day}/{number}.log", rng.randbytes(1200))
        return Case(world)


def test_large_blobs_arrive_whole(world):
    data = random.Random(5).randbytes(3 << 20)
    world.container.upload_blob("big", data)
    options = world.options(layout="plain", part_size=1 << 16)
    with build(AzureBlobSourceConfig(**options), Context()) as source:
        source.now = lambda: datetime.now(UTC) + timedelta(minutes=1)
        (split,) = source.plan(None, PlainMemory(), Budget()).splits
        assert read(source, split) == data
    assert drain(Case(world)) == [data]


def test_a_run_reads_compressed_logs(world, site):
    header = (
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
        "start end action log-status\n"
    )
    for number in range(5):
        lines = "".join(
            f"2 111122223333 eni-1 10.0.0.4 192.0.2.7 40000 443 6 1 {number * 100 + n} "
            "1771200000 1771200060 ACCEPT OK\n"
            for n in range(100)
        )
        world.container.upload_blob(f"{number}.log.gz", gzip.compress((header + lines).encode()))
    site = site({**world.options(), "layout": "plain", "exclude": ["4.*"]})
    site.document["decoder"] = {"type": "auto"}
    assert site.run() == 0, site.stderr
    assert site.rows() == Counter(range(400))
    assert site.run() == 0
    assert json.loads((site.folder / "receipt.json").read_text())["outcome"] == "nothing_to_do"
