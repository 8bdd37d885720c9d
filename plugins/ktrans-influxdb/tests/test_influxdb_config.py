"""What a pipeline file may say about InfluxDB."""

import subprocess
import sys

import pytest
from ktrans_influxdb import ktrans_components
from ktrans_influxdb.config import InfluxdbSinkConfig
from pydantic import ValidationError

V2 = {"url": "http://host:8086", "org": "o", "bucket": "b", "token": "secret-token"}


def test_every_option_is_described_with_an_example():
    for name, field in InfluxdbSinkConfig.model_fields.items():
        assert field.description, name
        assert field.examples, name


def test_a_token_is_never_printed():
    config = InfluxdbSinkConfig(**V2)
    assert "secret-token" not in repr(config) + str(config) + config.model_dump_json()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({**V2, "bucket": None}, "api: v2 needs `bucket`"),
        ({**V2, "org": None}, "api: v2 needs `org`"),
        ({**V2, "database": "d"}, "`database` is not an option of api: v2"),
        ({"url": "http://h", "api": "v1"}, "api: v1 needs `database`"),
        ({"url": "http://h", "api": "v3"}, "api: v3 needs `database`"),
        (
            {"url": "http://h", "api": "v1", "database": "d", "token": "t"},
            "`token` is not an option",
        ),
        ({"url": "http://h", "api": "v1", "database": "d", "user": "u"}, "go together"),
        ({**V2, "url": "host:8086"}, "http:// or https://"),
        ({**V2, "url": "http://me:hidden@host"}, "not into the URL"),
        ({**V2, "url": "http://host/?bucket=b"}, "into their options, not into the URL"),
        ({**V2, "uniqueness": "sequence", "precision": "s"}, "needs precision: ns"),
        ({**V2, "batch_lines": 0}, "greater than or equal to 1"),
    ],
)
def test_incompatible_options_are_rejected(options, message):
    with pytest.raises(ValidationError) as caught:
        InfluxdbSinkConfig(**options)
    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (V2, "bucket 'b' of organisation 'o'"),
        ({"url": "http://h/", "api": "v3", "database": "d"}, "database 'd'"),
        (
            {"url": "http://h", "api": "v1", "database": "d", "retention_policy": "p"},
            "database 'd', retention policy 'p'",
        ),
    ],
)
def test_messages_name_what_is_written_to(options, target):
    assert InfluxdbSinkConfig(**options).target == target


def test_registering_and_validating_import_no_sdk():
    code = (
        "import sys, ktrans_influxdb, ktrans_influxdb.config, ktrans_influxdb.sink\n"
        "ktrans_influxdb.ktrans_components()\n"
        f"ktrans_influxdb.config.InfluxdbSinkConfig(**{V2!r})\n"
        "assert not {'influxdb_client', 'urllib3', 'reactivex'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    (spec,) = ktrans_components()
    assert (spec.kind, spec.type, spec.delivery) == ("sink", "influxdb", "exactly_once")
