"""Apache Kafka: one broker in KRaft mode, with a plain listener and one that asks for a password.

It keeps transactions, consumer groups and offsets as a real cluster does, on disk, so that they
survive `restart` and `kill`.
"""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.services._launch import Server, ServerFailedError, find, launch, program

USER, PASSWORD = "ktrans", "ktrans-secret"  # of this broker alone
_CLUSTER = "a3RyYW5zLXRlc3QtMDAwMQ"
_MEMORY = ("-Xmx320m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
_LOGGING = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.sasl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
log.dirs={logs}
num.partitions=1
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.enable=false
"""


class KafkaBroker:
    """A running broker. Topics are not made by themselves: a test creates what it needs.

    Attributes:
        bootstrap: `address:port` of the plain listener.
        sasl_bootstrap: the same of the listener with SASL_PLAINTEXT: SCRAM-SHA-256, SCRAM-SHA-512
            and PLAIN.
        user: who may come in there.
        password: by what word.
    """

    def __init__(self) -> None:
        jars = find("kafka", "kafka")
        java = program("java")

        def run(*arguments: str) -> list[str]:
            return [java, *_MEMORY, _LOGGING, "-cp", f"{jars}/*", *arguments]

        def command(ports: Sequence[int], folder: Path) -> list[str]:
            properties = folder / "server.properties"
            if not properties.exists():
                _format(run, ports, folder, properties)
            return run("kafka.Kafka", str(properties))

        self._server = launch(
            lambda: Server("kafka", command, lambda ports: _serves(ports[0]), ports=3)
        )
        self.bootstrap = f"127.0.0.1:{self._server.ports[0]}"
        self.sasl_bootstrap = f"127.0.0.1:{self._server.ports[1]}"
        self.user, self.password = USER, PASSWORD

    def stop(self) -> None:
        """Take the broker down in good order, with its data kept."""
        self._server.stop()

    def kill(self) -> None:
        """Take the broker down at once, with its data kept."""
        self._server.kill()

    def start(self) -> None:
        """Bring it up again at the same address."""
        self._server.start()

    def restart(self) -> None:
        """Take it down in good order and bring it up again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and forget its data."""
        self._server.close()


def _format(
    run: Callable[..., list[str]], ports: Sequence[int], folder: Path, properties: Path
) -> None:
    """Write the broker's properties, and its data folder with the user in it."""
    plain, sasl, controller = ports
    properties.write_text(
        _PROPERTIES.format(
            plain=plain,
            sasl=sasl,
            controller=controller,
            logs=folder / "data",
            user=USER,
            password=PASSWORD,
        )
    )
    users = [
        f"--add-scram={kind}=[name={USER},password={PASSWORD}]"
        for kind in ("SCRAM-SHA-256", "SCRAM-SHA-512")
    ]
    arguments = run(
        *("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(properties)), *users
    )
    done = subprocess.run(  # Kafka's own tool
        arguments, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        properties.unlink()
        raise ServerFailedError(f"kafka cannot format its folder\n{done.stdout}{done.stderr}")


def _serves(port: int) -> bool:
    """Say whether the broker answers a Metadata request and knows of itself.

    Source: Apache Kafka protocol guide, Metadata request version 4, request header version 1.
    """
    request = struct.pack(">hhih", 3, 4, 1, -1) + struct.pack(">i?", 0, False)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            head = stream.read(16)
    if len(head) < 16:  # size, correlation, throttle time, count of brokers
        return False
    brokers: int = struct.unpack(">iiii", head)[3]
    return brokers > 0
