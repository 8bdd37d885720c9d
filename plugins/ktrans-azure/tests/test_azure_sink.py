"""The `azure_blob` sink: nothing is seen before the commit, everything once after it."""

import json

import pytest

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    EpochId,
    RunError,
    StageLostError,
    TaskId,
    UnavailableError,
)
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sinks import (
    EPOCH,
    FIRST,
    SCHEMA,
    SECOND,
    SinkCase,
    SinkContract,
    numbers,
    run,
)

pytestmark = pytest.mark.service("azurite")


def make_sink(world, name="sink", pipeline="flows", **options):
    catalogue = Catalogue()
    raw = {
        "type": "azure_blob",
        "container": world.name,
        "path": "out/{account}/",
        "format": {"type": "jsonl"},
        **options,
    }
    if not {"endpoint", "account"} & set(options):
        raw["connection_string"] = world.azurite.connection_string
    raw["format"] = catalogue.config("format", raw["format"])
    config = catalogue.config("sink", raw)
    sink = catalogue.build("sink", config, Context(pipeline, name, registry=catalogue))
    sink.bind(SCHEMA)
    return sink


def contents(world):
    client = world.container
    return {
        blob.name: client.download_blob(blob.name).readall() for blob in client.list_blobs("out/")
    }


class Case(SinkCase):
    def __init__(self, world, options):
        self.world, self.options = world, options
        self.made = []

    def sink(self, name="sink", pipeline="flows"):
        self.made.append(make_sink(self.world, name, pipeline, **self.options))
        return self.made[-1]

    def rows(self):
        lines = b"".join(contents(self.world).values()).splitlines()
        return sorted(json.loads(line)["n"] for line in lines)

    def leftovers(self):
        """Blobs that are neither rows nor hidden; blocks that were not committed do not count."""
        return [
            blob.name
            for blob in self.world.container.list_blobs()
            if not blob.name.startswith("out/") or not blob.size
        ]


class TestContract(SinkContract):
    covers = ("azure_blob",)

    @pytest.fixture(
        params=[{}, {"target_file_size": 1500, "buffer_size": 1 << 16}, {"if_absent": True}],
        ids=["plain", "many", "if_absent"],
    )
    def case(self, request, world):
        case = Case(world, request.param)
        yield case
        for sink in case.made:
            sink.close()


@pytest.fixture
def sink(world):
    made = []

    def make(**options):
        made.append(make_sink(world, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_blocks_are_sent_as_they_fill_and_the_blob_carries_what_was_asked(world, sink):
    one = sink(block_size=1 << 16, access_tier="cool", compression="gzip", path="out/a-{task}.gz")
    one.prepare(EPOCH)
    one.commit(EPOCH, [run(one, FIRST)])
    (blob,) = world.container.list_blobs(include=["metadata"])
    assert blob.content_settings.content_type == "application/gzip"
    assert blob.blob_tier == "Cool"
    assert list(blob.metadata) == ["ktrans_mark"]


def test_a_large_object_is_many_blocks(world, sink):
    import pyarrow as pa

    one = sink(block_size=1 << 16, path="out/")
    one.prepare(EPOCH)
    writer = one.writer(FIRST)
    rows = pa.record_batch(
        {"account": pa.array(["a"] * 30_000).dictionary_encode(), "n": pa.array(range(30_000))}
    )
    writer.write(writer.encode(rows))
    one.commit(EPOCH, [writer.finish()])
    (blob,) = world.container.list_blobs()
    blocks, _ = world.container.get_blob_client(blob.name).get_block_list("committed")
    assert len(blocks) > 5
    assert len(next(iter(contents(world).values())).splitlines()) == 30_000


def test_a_commit_that_was_done_is_not_done_again(world, sink):
    one = sink()
    one.prepare(EPOCH)
    receipts = [run(one, FIRST)]
    one.commit(EPOCH, receipts)
    before = {blob.name: blob.etag for blob in world.container.list_blobs()}
    sink().commit(EPOCH, receipts)
    assert before == {blob.name: blob.etag for blob in world.container.list_blobs()}


def test_what_is_neither_staged_nor_published_is_said_to_be_lost(world, sink):
    one = sink(path="out/{account}/x-{task}.jsonl")
    one.prepare(EPOCH)
    receipts = [run(one, FIRST)]
    for file in receipts[0].data["files"]:
        file["token"]["attempt"] = "0" * 16  # blocks of this name were never sent
    with pytest.raises(StageLostError):
        one.commit(EPOCH, receipts)


@pytest.mark.parametrize("if_absent", [True, False])
def test_a_blob_of_somebody_else_is_replaced_or_not(world, sink, if_absent):
    one = sink(path="out/{account}/mine-{task}.jsonl", if_absent=if_absent)
    one.prepare(EPOCH)
    key = run(one, FIRST).data["files"][0]["key"]
    world.container.upload_blob(key, b"theirs", overwrite=True)
    receipts = [run(one, FIRST)]
    if if_absent:
        with pytest.raises(RunError, match="exists already"):
            one.commit(EPOCH, receipts)
        assert contents(world)[key] == b"theirs"
    else:
        one.commit(EPOCH, receipts)
        assert b"theirs" not in contents(world).values()


def test_a_blob_of_an_earlier_attempt_is_no_strangers(world, sink):
    """Half of a commit happened, the other half was lost, and the epoch is done again."""
    one = sink(path="out/{account}/", if_absent=True)
    one.prepare(EPOCH)
    receipt = run(one, FIRST)
    receipt.data["files"][0]["token"]["attempt"] = "0" * 16  # blocks of this name were never sent
    with pytest.raises(StageLostError):
        one.commit(EPOCH, [receipt])
    assert contents(world)
    one.prepare(EPOCH)
    again = run(one, FIRST)
    one.commit(EPOCH, [again])
    one.commit(EPOCH, [again])
    lines = b"".join(contents(world).values()).splitlines()
    assert sorted(json.loads(line)["n"] for line in lines) == numbers(FIRST)


def test_a_newer_attempt_wins_over_blocks_of_an_older_one(world, sink):
    one = sink()
    one.prepare(EPOCH)
    run(one, FIRST)
    half = one.writer(SECOND)
    half.write(half.encode(next(iter(_batches(SECOND)))))
    two = sink()
    two.prepare(EPOCH)
    two.commit(EPOCH, [run(two, FIRST), run(two, SECOND)])
    lines = b"".join(contents(world).values()).splitlines()
    assert sorted(json.loads(line)["n"] for line in lines) == numbers(FIRST, SECOND)


def _batches(task):
    from ktrans.testing.contracts.sinks import batches

    return batches(task)


def test_check_writes_nothing(world, sink):
    sink().check()
    assert list(world.container.list_blobs(include=["uncommittedblobs"])) == []


def test_check_names_a_missing_container(world, sink):
    with pytest.raises(ConfigError, match="nowhere-at-all does not exist"):
        sink(container="nowhere-at-all").check()


def test_check_names_a_missing_right(world, sink):
    from datetime import UTC, datetime

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    sas = generate_container_sas(
        world.azurite.account,
        world.name,
        account_key=world.azurite.key,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime(2100, 1, 1, tzinfo=UTC),
    )
    with pytest.raises(AccessError) as caught:
        sink(endpoint=world.azurite.blob_url, sas_token=sas).check()
    assert "Create and Write" in caught.value.hint
    assert "sig=" not in str(caught.value)


def test_check_says_that_nobody_answers(world, sink):
    with pytest.raises(UnavailableError, match="no answer"):
        sink(endpoint="http://127.0.0.1:9/nobody", account_key=world.azurite.key).check()


def test_epochs_may_come_from_another_process(world, sink):
    second = EpochId("flows", 2)
    one = sink()
    one.prepare(EPOCH)
    one.commit(EPOCH, [run(one, FIRST)])
    two = sink()
    two.prepare(second)
    two.commit(second, [run(two, TaskId(second, 0))])
    lines = b"".join(contents(world).values()).splitlines()
    assert len(lines) == 240
