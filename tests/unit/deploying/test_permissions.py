"""docs/permissions.md and the code agree: every call of an SDK has its right, and no right is too many."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/permissions.md").read_text()


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def rights_of_calls(title):
    """The table of a section whose first column is `call`: each call with its rights."""
    found = {}
    table = re.search(r"^\| call \|.*?\n\n", section(title), re.MULTILINE | re.DOTALL)[0]
    for row in table.strip().splitlines()[2:]:
        calls, rights = row.split("|")[1:3]
        for call in re.findall(r"`(\w+)`", calls):
            found.setdefault(call, set()).update(re.findall(r"`([^`]+)`", rights))
    return found


def documents(title):
    """The JSON of a section."""
    return [
        json.loads(text) for text in re.findall(r"```json\n(.*?)```", section(title), re.DOTALL)
    ]


def names_in(package, *, texts=False):
    """Every attribute that a package's code names, and with `texts` every text that it holds."""
    folder = ROOT / f"plugins/{package.replace('_', '-')}/{package}"
    found = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif texts and isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_call_of_aws_has_its_action():
    import botocore.session
    from botocore import xform_name

    session = botocore.session.get_session()
    operations = {
        xform_name(name): name
        for service in ("s3", "sqs", "ec2", "sts", "kms", "kinesis", "firehose", "logs")
        for name in session.get_service_model(service).operation_names
    }
    named = names_in("ktrans_aws", texts=True)
    called = {operations[name] for name in named & set(operations)}
    assert "HeadObject" in called, "the search finds calls"
    assert called == set(rights_of_calls("AWS"))


def test_the_aws_policies_hold_what_the_tables_say_and_nothing_else():
    tables = section("AWS").split("```json")[0]
    said = set(re.findall(r"`((?:s3|sqs|ec2|kms|sts|kinesis|firehose|logs):\w+)`", tables)) - {
        "s3:PutObjectAcl"
    }
    held = set()
    for policy in documents("AWS"):
        assert policy["Version"] == "2012-10-17"
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            actions = statement["Action"]
            actions = {actions} if isinstance(actions, str) else set(actions)
            if "Principal" in statement:
                assert actions == {"sts:AssumeRoleWithWebIdentity"}
                continue
            held |= actions
            everything = statement["Resource"] == "*"
            assert everything == all(action.startswith("ec2:Describe") for action in actions)
    assert held == said


NOT_ASKED_FOR = {
    "ktrans_gcp": {
        *("api_endpoint", "batch", "blob", "bucket", "client", "close", "content_encoding"),
        *("content_type", "exists", "from_service_account_info", "generation", "metadata", "open"),
        *("id", "path", "size", "storage_class", "time_created", "transport", "update"),
        "user_project",
    },
    "ktrans_azure": {
        *("close", "from_connection_string", "get_blob_client", "get_container_client"),
        *("get_queue_client", "primary_endpoint", "url"),
    },
}
"""Names that the SDK's clients have too, but that send nothing, or are of something else."""


def google_clients():
    from google.cloud import storage
    from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteClient
    from google.pubsub_v1 import PublisherClient, SubscriberClient

    return (
        *(storage.Client, storage.Bucket, storage.Blob),
        *(SubscriberClient, PublisherClient, BigQueryWriteClient),
    )


def azure_clients():
    from azure.storage import blob, queue

    return (
        *(blob.BlobServiceClient, blob.ContainerClient, blob.BlobClient),
        *(queue.QueueServiceClient, queue.QueueClient),
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("title", "package", "clients"),
    [("Google Cloud", "ktrans_gcp", google_clients), ("Azure", "ktrans_azure", azure_clients)],
)
def test_every_call_of_google_and_azure_has_its_right(title, package, clients):
    offered = {name for one in clients() for name in dir(one) if not name.startswith("_")}
    called = (names_in(package) & offered) - NOT_ASKED_FOR[package]
    assert called == set(rights_of_calls(title))


def test_the_google_role_holds_what_the_table_says_and_nothing_else():
    (role,) = documents("Google Cloud")
    table = section("Google Cloud").split("Roles that exist")[0]
    said = set(re.findall(r"`((?:storage|pubsub|bigquery)\.\w+\.\w+)`", table))
    assert set(role["includedPermissions"]) == said


def test_the_azure_role_holds_what_the_table_says_and_nothing_else():
    (role,) = documents("Azure")
    prefix = "Microsoft.Storage/storageAccounts/"
    said = {right for rights in rights_of_calls("Azure").values() for right in rights}
    assert set(role["DataActions"]) == {prefix + right for right in said}
    assert role["Actions"] == [], "no management of the account"


def test_the_readmes_of_the_plugins_ask_for_nothing_else():
    """Where a README names a right, the page has it too."""
    for plugin in ("aws", "gcp"):
        readme = (ROOT / f"plugins/ktrans-{plugin}/README.md").read_text()
        for right in re.findall(
            r"`((?:s3|sqs|ec2|kms|kinesis|firehose|logs):[A-Z]\w+|(?:storage|pubsub|bigquery)\.\w+\.\w+)`",
            readme,
        ):
            assert right in PAGE, f"ktrans-{plugin}: {right}"


def test_kafkas_rights_are_those_of_the_plugin():
    """The same resources and operations, whatever words explain them."""
    readme = (ROOT / "plugins/ktrans-kafka/README.md").read_text()
    operations = "Read|Write|Describe|DescribeConfigs|IdempotentWrite"
    for name in re.findall(rf"\b({operations})\b", readme.split("### Permissions", 1)[1]):
        assert name in section("Kafka")
