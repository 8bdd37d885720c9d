"""The addresses of buckets in which sinks keep rows."""

import pytest

from ktrans.api import ConfigError, Context
from ktrans.kit.bucket_stage import bucket_of
from ktrans.registry.catalogue import Catalogue


def reached(address):
    return bucket_of(address, Context(registry=Catalogue()))


@pytest.mark.parametrize(
    ("address", "kind", "options", "prefix"),
    [
        (
            "s3://b/waiting?region=eu-central-1&path_style=true",
            "s3",
            {"bucket": "b", "region": "eu-central-1", "path_style": True},
            "waiting/",
        ),
        ("gs://flow-logs/a/b/", "gcs", {"bucket": "flow-logs"}, "a/b/"),
        ("az://acct/box/a/b", "azure_blob", {"account": "acct", "container": "box"}, "a/b/"),
        (
            "az:///box?endpoint=https://acct.example.net",
            "azure_blob",
            {"account": None, "container": "box", "endpoint": "https://acct.example.net"},
            "ktrans/staged/",
        ),
        ("s3://b", "s3", {"bucket": "b"}, "ktrans/staged/"),
    ],
)
def test_an_address_stands_for_the_options_of_a_state_store(address, kind, options, prefix):
    state, found = reached(address)
    assert state.config.type == kind
    assert {name: getattr(state.config, name) for name in options} == options
    assert found == prefix


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("s3:///x", "`bucket`"),
        ("gs://flow-logs/?banana=1", "banana"),
        ("az://acct/", "`container`"),
    ],
)
def test_an_incomplete_address_is_a_config_error(address, named):
    with pytest.raises(ConfigError, match=named) as caught:
        reached(address)
    assert "question mark" in caught.value.hint
