"""A storage account that is busy, breaks off, refuses or is not there."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from ktrans_azure.account import Account
from ktrans_azure.blob_container import BlobContainer
from ktrans_azure.blob_source_config import AzureBlobSourceConfig
from ktrans_azure.build_source import build

from ktrans.api import (
    AccessError,
    Budget,
    ConfigError,
    Context,
    RetryableError,
    SplitChangedError,
    UnavailableError,
)
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, numbers, run
from ktrans.testing.contracts.sources import PlainMemory, read

pytestmark = pytest.mark.service("azurite")


@pytest.fixture
def through(world, proxy):
    """The options of a source that goes through the proxy."""
    return {
        "container": world.name,
        "endpoint": proxy.url,
        "account_key": world.azurite.key,
        "layout": "flow_logs",
    }


@pytest.fixture
def source(through, noon):
    made = build(AzureBlobSourceConfig(**through), Context())
    made.now = lambda: noon + timedelta(minutes=30)
    yield made
    made.close()


def plan(source):
    return source.plan(None, PlainMemory(), Budget())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [429, 500, 503, (503, {"Retry-After": "0"}), "reset", "lost"])
def test_each_kind_of_request_is_tried_again(source, world, proxy, noon, status):
    blob = world.hour(noon).grow()
    proxy.times(2, status, "GET", "comp=list&")
    proxy.times(2, status, "GET", "comp=blocklist")
    proxy.times(2, status, "GET")
    (split,) = plan(source).splits
    assert read(source, split) == blob.data
    assert proxy.faults >= 6


def test_an_answer_that_breaks_off_is_gone_on_with(source, world, proxy, noon):
    blob = world.hour(noon).grow(tuples=8000)
    (split,) = plan(source).splits
    proxy.times(3, "reset", "GET")
    assert read(source, split) == blob.data
    assert proxy.faults == 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [429, 503])
def test_how_long_to_wait_is_told_to_the_engine(source, world, proxy, noon, status):
    world.hour(noon).grow()
    proxy.times(99, (status, {"Retry-After": "17"}), "GET", "comp=list")
    with pytest.raises(RetryableError) as caught:
        plan(source)
    assert caught.value.retry_after_secs == 17


def test_a_blob_that_grows_with_every_look_is_tried_again_later(source, world, proxy, noon):
    blob = world.hour(noon).grow()
    (split,) = plan(source).splits
    proxy.rules.append(
        lambda method, path, query: (
            412 if method == "GET" and "PT1H" in path and "blocklist" not in query else None
        )
    )
    with pytest.raises(RetryableError, match="faster"):
        read(source, split)
    proxy.rules.clear()
    assert read(source, split) == blob.data


@pytest.mark.parametrize("key", ["d3Jvbmc=", "not-base64!"])
def test_a_wrong_key_is_an_access_error(world, key):
    config = AzureBlobSourceConfig(
        container=world.name,
        endpoint=world.azurite.blob_url,
        account_key=key,
        layout="plain",
    )
    with build(config, Context()) as source, pytest.raises(AccessError) as caught:
        source.check()
    assert key not in f"{caught.value}{caught.value.__cause__}"
    assert "mistyped or have been rotated" in caught.value.hint


@pytest.mark.parametrize("permission", ["r", "rl"])
def test_an_expired_or_too_small_signature_is_an_access_error(world, noon, permission):
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    sas = generate_container_sas(
        world.azurite.account,
        world.name,
        account_key=world.azurite.key,
        permission=ContainerSasPermissions(read=True, list="l" in permission),
        expiry=datetime(2001 if "l" in permission else 2100, 1, 1, tzinfo=UTC),
    )
    config = AzureBlobSourceConfig(
        container=world.name, endpoint=world.azurite.blob_url, sas_token=sas, layout="plain"
    )
    with build(config, Context()) as source, pytest.raises(AccessError) as caught:
        source.check()
    assert "may have expired" in caught.value.hint
    assert "sig=" not in repr(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize("layout", ["plain", "flow_logs"])
def test_a_missing_container_is_named(world, layout):
    config = AzureBlobSourceConfig(**{**world.options(), "container": "not-here", "layout": layout})
    with build(config, Context()) as source:
        for look in (source.check, lambda: plan(source)):
            with pytest.raises(ConfigError, match="the container not-here does not exist"):
                look()


def test_a_host_that_does_not_answer_is_unavailable(world):
    config = AzureBlobSourceConfig(
        container="c", endpoint="http://127.0.0.1:9/nobody", sas_token="sv=1&sig=secret%3D"
    )
    with build(config, Context()) as source, pytest.raises(UnavailableError) as caught:
        source.check()
    told = caught.value
    seen = (
        f"{told.message} {told.hint} {told.__cause__} {told.__context__ if told.__cause__ else ''}"
    )
    assert "secret" not in seen


def test_the_end_of_a_blob_that_shrank_is_noticed(world):
    world.container.upload_blob("a", b"0123456789")
    account = Account(AzureBlobSourceConfig(**world.options()), Context())
    store = BlobContainer(account, world.name)
    info = store.stat("a")
    with pytest.raises(SplitChangedError):
        store.open("a", info.version, 5, 20)
    store.close()


# -- the sink ---------------------------------------------------------------------------------


@pytest.fixture
def sink(world, proxy):
    catalogue = Catalogue()
    raw = {
        "type": "azure_blob",
        "container": world.name,
        "endpoint": proxy.url,
        "account_key": world.azurite.key,
        "path": "out/",
        "format": catalogue.config("format", {"type": "jsonl"}),
    }
    made = catalogue.build(
        "sink", catalogue.config("sink", raw), Context("flows", "sink", registry=catalogue)
    )
    made.bind(SCHEMA)
    yield made
    made.close()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [429, 503, "lost"])
def test_writing_is_tried_again(sink, world, proxy, status):
    """Also where the request was done and only its answer was lost."""
    proxy.times(2, status, "PUT", "comp=block&")
    proxy.times(2, status, "PUT", "comp=blocklist")
    sink.prepare(EPOCH)
    sink.commit(EPOCH, [run(sink, FIRST)])
    (blob,) = world.container.list_blobs()
    lines = world.container.download_blob(blob.name).readall().splitlines()
    assert sorted(json.loads(line)["n"] for line in lines) == numbers(FIRST)
    assert proxy.faults >= 4


@pytest.mark.usefixtures("quick")
def test_a_sink_that_is_refused_says_which_right_it_lacks(sink, proxy):
    proxy.times(99, 403, "PUT", "comp=block")
    sink.prepare(EPOCH)
    with pytest.raises(AccessError):
        run(sink, FIRST)


# -- whole runs -------------------------------------------------------------------------------


def test_a_run_says_by_its_exit_code_what_is_wrong(world, site, proxy, noon):
    world.hour(noon).grow()
    proxy.times(999, 503, "GET", "comp=list")
    busy = site(
        {"container": world.name, "endpoint": proxy.url, "account_key": world.azurite.key}
        | {"layout": "flow_logs"},
        name="busy",
    )
    assert busy.run() == 75
    assert "Azure answered 503" in busy.stderr
    refused = site({**world.options(), "connection_string": "nonsense"}, name="broken")
    assert refused.run() == 78
    assert "connection string" in refused.stderr
    assert "nonsense" not in refused.stderr


def test_validate_connects_on_request(world, site, noon):
    good = site(world.options(queue={"name": "never-made"}), name="good")
    good.document["sinks"].append(
        {
            "id": "lake",
            "type": "azure_blob",
            "container": "not-there",
            "connection_string": world.azurite.connection_string,
            "path": "out/",
            "format": {"type": "jsonl"},
        }
    )
    assert good.validate() == 0, good.stderr
    assert good.validate("--connect") != 0
    assert "the queue never-made does not exist" in good.stderr
    del good.document["source"]["queue"]
    assert good.validate("--connect") != 0
    assert "the container not-there does not exist" in good.stderr
    good.document["sinks"][-1]["container"] = world.name
    assert good.validate("--connect") == 0, good.stderr
    assert list(world.container.list_blobs(include=["uncommittedblobs"])) == []
