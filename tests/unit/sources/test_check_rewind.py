"""Sources that cannot hand out again what they have handed out refuse `state rewind`."""

import pytest

from ktrans.api import UsageError
from ktrans.registry.catalogue import Catalogue

KAFKA = {"type": "kafka", "bootstrap_servers": ["localhost:9092"], "topics": ["flows"]}
AZURE = {"type": "azure_blob", "account": "contoso", "container": "logs"}
S3 = {"type": "s3", "bucket": "logs", "region": "eu-central-1"}
SQS = {
    "type": "sqs",
    "region": "eu-central-1",
    "queue_url": "https://sqs.eu-central-1.amazonaws.com/111122223333/logs",
}
CASES = [
    ({"type": "stdin"}, "send the logs again"),
    ({**KAFKA, "group": "flows"}, "--reset-offsets"),
    ({"type": "pubsub", "project": "p", "subscription": "flows"}, "subscriptions seek"),
    (SQS, "with the s3 source"),
    ({**AZURE, "queue": {"name": "new"}}, "without `queue`"),
]


@pytest.fixture(scope="module")
def source():
    """Build a source of its options; that of a plugin which is not installed skips the test."""
    catalogue = Catalogue()

    def build(options):
        if options["type"] not in {spec.type for spec in catalogue.specs("source")}:
            pytest.skip(f"no plugin for {options['type']}")
        from ktrans.api import Context

        config = catalogue.config("source", options)
        return catalogue.build("source", config, Context(registry=catalogue))

    return build


@pytest.mark.parametrize(("options", "hint"), CASES, ids=lambda case: str(case)[:30])
def test_what_is_given_out_once_cannot_be_gone_back_to(source, options, hint):
    with source(options) as one, pytest.raises(UsageError) as caught:
        one.check_rewind()
    assert caught.value.code == "cannot_rewind"
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "options", [{"type": "file", "paths": ["logs/"]}, {"type": "generate"}, KAFKA, AZURE, S3]
)
def test_what_stays_where_it_is_can(source, options):
    with source(options) as one:
        one.check_rewind()
