"""The servers as pytest fixtures, and the marker `service(name)`.

A fixture starts its server when the first test asks for it. `@pytest.mark.service("kafka")` says
that a test, or a module (`pytestmark`), needs a server, so that it is skipped, or fails, before its
other fixtures are set up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import pytest

from tests.services._launch import MissingServerError, find
from tests.services.azurite import Azurite
from tests.services.clickhouse import ClickhouseServer
from tests.services.gcs import GcsServer
from tests.services.goflow2 import Goflow2
from tests.services.iceberg import IcebergCatalog
from tests.services.influx import Influx1Server, InfluxServer
from tests.services.kafka import KafkaBroker
from tests.services.kafka_mock import KafkaMock
from tests.services.moto import S3Server
from tests.services.nats import NatsServer
from tests.services.postgres import PostgresServer
from tests.services.prometheus import PrometheusServer
from tests.services.pubsub import PubsubServer
from tests.services.questdb import QuestdbServer
from tests.services.rabbitmq import RabbitmqServer
from tests.services.search import LogsServer, OpenSearchServer


class _Closable(Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=_Closable)

_FIXTURES = {
    "s3": "s3_server",
    "azurite": "azurite",
    "gcs": "gcs_server",
    "pubsub": "pubsub_server",
    "kafka": "kafka_broker",
    "kafka_mock": "kafka_mock",
    "influx": "influx_server",
    "influx1": "influx1_server",
    "iceberg": "iceberg_server",
    "nats": "nats_server",
    "postgres": "postgres_server",
    "prometheus": "prometheus_server",
    "questdb": "questdb_server",
    "rabbitmq": "rabbitmq_server",
    "opensearch": "opensearch_server",
    "victorialogs": "logs_server",
    "clickhouse": "clickhouse_server",
    "goflow2": "goflow2",
    "softflowd": "softflowd",
    "chromium": "chromium",
    "helm": "helm",
    "kustomize": "kustomize",
    "hadolint": "hadolint",
    "kubernetes_validate": "kubernetes_validate",
    "kuberay": "kuberay",
    "systemd": "systemd_analyze",
}


SLOW = frozenset(
    {
        "test_every_component_is_held_to_the_contract_of_its_kind",
        "test_rubbish_is_rejected_and_never_raises_anything_else",
        "test_the_size_of_the_blocks_changes_nothing",
    }
)
"""Tests of contracts that take seconds for each component: no quick tests."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the marker `service` and the fixtures of servers stand for each other.

    The marker asks for the fixture of that name ahead of the test's own fixtures; a test that uses
    the fixture gets the marker, so that `-m "not service"` selects tests that need no server.
    """
    for item in items:
        names: list[str] = item.fixturenames  # type: ignore[attr-defined]
        for mark in item.iter_markers("service"):
            for name in mark.args:
                if name not in _FIXTURES:
                    raise pytest.UsageError(
                        f"{item.nodeid}: no service {name!r}; there are {', '.join(_FIXTURES)}"
                    )
                if _FIXTURES[name] not in names:
                    names.insert(0, _FIXTURES[name])
        marked = {name for mark in item.iter_markers("service") for name in mark.args}
        for name, fixture in _FIXTURES.items():
            if fixture in names and name not in marked:
                item.add_marker(pytest.mark.service(name))
        if getattr(item, "originalname", "") in SLOW:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Moto: S3, SQS, SNS, EC2, STS."""
    yield from _serve("s3", S3Server)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Azure Blob and Queue Storage."""
    yield from _serve("azurite", Azurite)


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    """Google Cloud Storage."""
    yield from _serve("gcs", GcsServer)


@pytest.fixture(scope="session")
def pubsub_server() -> Iterator[PubsubServer]:
    """Google Pub/Sub."""
    yield from _serve("pubsub", PubsubServer)


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[KafkaBroker]:
    """Apache Kafka."""
    yield from _serve("kafka", KafkaBroker)


@pytest.fixture
def kafka_mock() -> Iterator[KafkaMock]:
    """The mock cluster of librdkafka, a new one for each test."""
    yield from _serve("kafka_mock", KafkaMock)


@pytest.fixture(scope="session")
def influx_server() -> Iterator[InfluxServer]:
    """VictoriaMetrics, for the write API of InfluxDB 2."""
    yield from _serve("influx", InfluxServer)


@pytest.fixture(scope="session")
def influx1_server() -> Iterator[Influx1Server]:
    """InfluxDB 1.6."""
    yield from _serve("influx1", Influx1Server)


@pytest.fixture(scope="session")
def iceberg_server() -> Iterator[IcebergCatalog]:
    """Iceberg's REST catalogue."""
    yield from _serve("iceberg", IcebergCatalog)


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """NATS with JetStream."""
    yield from _serve("nats", NatsServer)


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitmqServer]:
    """RabbitMQ."""
    yield from _serve("rabbitmq", RabbitmqServer)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL."""
    yield from _serve("postgres", PostgresServer)


@pytest.fixture(scope="module")
def prometheus_server() -> Iterator[PrometheusServer]:
    """Prometheus that takes remote writes; of a module, since it takes no samples that are older."""
    yield from _serve("prometheus", PrometheusServer)


@pytest.fixture(scope="session")
def questdb_server() -> Iterator[QuestdbServer]:
    """QuestDB."""
    yield from _serve("questdb", QuestdbServer)


@pytest.fixture(scope="session")
def opensearch_server() -> Iterator[OpenSearchServer]:
    """OpenSearch."""
    yield from _serve("opensearch", OpenSearchServer)


@pytest.fixture(scope="session")
def logs_server() -> Iterator[LogsServer]:
    """VictoriaLogs."""
    yield from _serve("victorialogs", LogsServer)


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[ClickhouseServer]:
    """ClickHouse's engine behind HTTP."""
    yield from _serve("clickhouse", ClickhouseServer)


@pytest.fixture
def goflow2() -> Iterator[Goflow2]:
    """The collector goflow2, a new one for each test."""
    yield from _serve("goflow2", Goflow2)


@pytest.fixture(scope="session")
def softflowd() -> Path:
    """An exporter of NetFlow and IPFIX, which reads captures."""
    return _tool("softflowd", "/usr/sbin/softflowd", program="softflowd")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, for what people see in a browser."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return found or missing("chromium", "chromium is not installed")


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm, which renders charts."""
    return _tool("helm", "deploy/helm", program="helm")


@pytest.fixture(scope="session")
def kustomize() -> Path:
    """Kustomize, which puts manifests together."""
    return _tool("kustomize", "deploy/kustomize", program="kustomize")


@pytest.fixture(scope="session")
def hadolint() -> Path:
    """Hadolint, which judges Dockerfiles."""
    return _tool("hadolint", "linters/bin/hadolint", program="hadolint")


@pytest.fixture(scope="session")
def kubernetes_validate() -> Callable[[Path], str]:
    """Check a file of manifests by Kubernetes' own schemas; gives what is wrong, or nothing."""
    python = _tool("kubernetes_validate", "linters/bin/python")

    def check(manifests: Path) -> str:
        command = [str(python), "-m", "kubernetes_validate", "--strict", str(manifests)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return ran.stdout + ran.stderr if ran.returncode else ""

    return check


@pytest.fixture(scope="session")
def kuberay() -> Path:
    """The folder of the schemas of KubeRay's resources."""
    return _tool("kuberay", "kuberay")


@pytest.fixture(scope="session")
def systemd_analyze() -> Path:
    """What judges units of systemd; it needs no running systemd."""
    return _tool("systemd", program="systemd-analyze")


def _tool(name: str, *places: str, program: str | None = None) -> Path:
    """Find a tool, in the services folder or on the PATH; skip, or fail, if it is in neither."""
    try:
        return find(name, *places, program=program)
    except MissingServerError as error:
        missing(name, str(error))


def _serve(name: str, start: Callable[[], S]) -> Iterator[S]:
    try:
        server = start()
    except MissingServerError as error:
        missing(name, str(error))
    try:
        yield server
    finally:
        server.close()


def missing(name: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where the server is required."""
    required = os.environ.get("KTRANS_REQUIRE_SERVICES", "").replace(" ", "").split(",")
    if name in required or "all" in required:
        pytest.fail(f"{reason} (KTRANS_REQUIRE_SERVICES asks for it)", pytrace=False)
    pytest.skip(reason)
