"""Options: what is accepted, what is refused, and that no secret gets out."""

import subprocess
import sys

import pytest
from ktrans_azure.account import Account
from ktrans_azure.blob_sink import AzureBlobSinkConfig
from ktrans_azure.blob_source_config import AzureBlobSourceConfig
from ktrans_azure.build_source import build
from pydantic import ValidationError

from ktrans.api import ConfigError, Context
from ktrans.registry.catalogue import Catalogue

NEEDED = {"container": "insights-logs-flowlogflowevent", "account": "contoso"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"container": "c"}, "name the account"),
        ({**NEEDED, "endpoint": "https://x.blob.core.windows.net"}, "account and endpoint"),
        ({**NEEDED, "connection_string": "x"}, "drop account"),
        ({**NEEDED, "account_key": "x", "sas_token": "y"}, "account_key and sas_token"),
        ({**NEEDED, "account_key": "x", "client_id": "y"}, "no meaning"),
        ({**NEEDED, "endpoint": "ftp://x"}, "endpoint"),
        ({"container": "c", "endpoint": "http://127.0.0.1:10000/x"}, "only shown to https"),
        ({**NEEDED, "account": "Not A Name"}, "account"),
        ({**NEEDED, "layout": "flows"}, "layout"),
        ({**NEEDED, "queue": {"name": "UPPER"}}, "queue"),
        ({**NEEDED, "queue": {"name": "events"}, "identity": "anonymous"}, "anonymously"),
        ({**NEEDED, "surprise": 1}, "surprise"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(options, message):
    with pytest.raises(ValidationError) as caught:
        AzureBlobSourceConfig(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("container", "layout", "tails"),
    [
        ("insights-logs-flowlogflowevent", "auto", True),
        ("insights-logs-networksecuritygroupflowevent", "auto", True),
        ("insights-logs-flowlogflowevent", "plain", False),
        ("mine", "auto", False),
        ("mine", "flow_logs", True),
        ("mine", "%Y/%m/%d/", False),
    ],
)
def test_the_containers_of_network_watcher_are_tailed_by_default(container, layout, tails):
    config = AzureBlobSourceConfig(account="contoso", container=container, layout=layout)
    assert config.tails is tails


SECRETS = {
    "connection_string": "DefaultEndpointsProtocol=https;AccountName=c;AccountKey=aHVzaA==",
    "account_key": "aHVzaA==",
    "sas_token": "?sv=2026-02-06&sig=aHVzaA%3D%3D",
}


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("model", [AzureBlobSourceConfig, AzureBlobSinkConfig])
def test_secrets_are_never_printed(name, model):
    raw = {"container": "c", name: SECRETS[name]}
    if name != "connection_string":
        raw["account"] = "contoso"
    if model is AzureBlobSinkConfig:
        raw |= {"path": "out/", "format": Catalogue().config("format", {"type": "jsonl"})}
    config = model(**raw)
    assert "aHVzaA" not in repr(config) + str(config) + config.model_dump_json()
    with pytest.raises(ValidationError) as caught:
        model(**raw, wrong=1)
    assert "aHVzaA" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "blob", "queue"),
    [
        (
            {"account": "contoso", "account_key": "eA=="},
            "contoso.blob.core.windows.net",
            "contoso.queue.core.windows.net",
        ),
        (
            {
                "endpoint": "https://contoso.blob.core.chinacloudapi.cn/",
                "sas_token": "?sv=1&sig=eA",
            },
            "contoso.blob.core.chinacloudapi.cn",
            "contoso.queue.core.chinacloudapi.cn",
        ),
        (
            {"connection_string": SECRETS["connection_string"]},
            "c.blob.core.windows.net",
            "c.queue.core.windows.net",
        ),
    ],
)
def test_each_way_in_leads_to_the_account(options, blob, queue):
    account = Account(AzureBlobSourceConfig(container="logs", **options), Context())
    assert account.url == f"https://{blob}"
    assert account.queue("events", None).primary_hostname == queue
    account.close()


def test_identities_are_made_without_asking_anyone():
    for options in ({}, {"identity": "managed", "client_id": "6f1c9a52-0000-4000-8000-012345678"}):
        account = Account(AzureBlobSourceConfig(**NEEDED, **options), Context())
        assert account.url == "https://contoso.blob.core.windows.net"
        account.close()


def test_a_broken_connection_string_is_a_config_error_at_its_option():
    config = AzureBlobSourceConfig(container="c", connection_string="hush")
    with build(config, Context()) as source, pytest.raises(ConfigError) as caught:
        source.check()
    assert caught.value.field == "connection_string"
    assert "hush" not in f"{caught.value}{caught.value.hint}{caught.value.__cause__}"


def test_building_and_validating_imports_no_sdk():
    code = """
import sys
from ktrans.api import Context
from ktrans.registry.catalogue import Catalogue
catalogue = Catalogue()
context = Context(registry=catalogue)
account = {"container": "insights-logs-flowlogflowevent", "account": "contoso"}
for more in ({}, {"queue": {"name": "events"}}, {"layout": "plain"}):
    raw = {"type": "azure_blob", **account, **more}
    catalogue.build("source", catalogue.config("source", raw), context).close()
raw = {"type": "azure_blob", **account, "path": "out/"}
raw["format"] = catalogue.config("format", {"type": "jsonl"})
catalogue.build("sink", catalogue.config("sink", raw), context).close()
assert not [name for name in sys.modules if name.split(".")[0] == "azure"]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_every_option_is_described_with_an_example():
    for model in (AzureBlobSourceConfig, AzureBlobSinkConfig):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert field.examples, name
