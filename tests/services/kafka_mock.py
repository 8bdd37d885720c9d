"""The mock cluster inside librdkafka: the Kafka protocol without a broker, with faults on demand.

It starts in milliseconds. It does not hide aborted transactions from readers, fences nobody and
keeps no offsets of transactions: what has to do with those needs the real broker. Topics come into
being with four partitions when they are first named.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.services._launch import MissingServerError

_ERROR_BYTES = 512


class KafkaMock:
    """A mock cluster.

    Attributes:
        bootstrap: `address:port` of each broker, with commas.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._library = library = _library()
        text = ctypes.create_string_buffer(_ERROR_BYTES)
        library.rd_kafka_new.restype = ctypes.c_void_p
        # The first argument says producer; no configuration, as the cluster makes its own.
        self._handle = ctypes.c_void_p(library.rd_kafka_new(0, None, text, _ERROR_BYTES))
        library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        self._cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(self._handle, brokers))
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        self.bootstrap: str = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ctypes.c_int32(0))

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Make a topic, on one broker."""
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def fail_requests(self, api: int, errors: Sequence[int]) -> None:
        """Answer the next requests of a kind with these errors, one each.

        Args:
            api: the number of the request in Kafka's protocol guide: 0 produce, 1 fetch...
            errors: Kafka's error codes; -195 breaks the connection instead.
        """
        codes = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(api), ctypes.c_size_t(len(errors)), codes
        )

    def fail_topic(self, name: str, error: int) -> None:
        """Answer for a topic with this error from now on; 0 ends that."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), error)

    def broker_down(self, broker: int = 1) -> None:
        """Take a broker down."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, ctypes.c_int32(broker))

    def broker_up(self, broker: int = 1) -> None:
        """Bring a broker up again."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, ctypes.c_int32(broker))

    def close(self) -> None:
        """Take the cluster down."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


def _library() -> Any:
    """Load the librdkafka that confluent-kafka brings, which exports the mock's functions."""
    found = importlib.util.find_spec("confluent_kafka")
    if found is None or found.origin is None:
        raise MissingServerError("confluent-kafka is not installed: pip install confluent-kafka")
    import confluent_kafka  # noqa: F401  # loads what the library below needs

    folder = Path(found.origin).parent.parent / "confluent_kafka.libs"
    for path in sorted(folder.glob("librdkafka*")):
        return ctypes.CDLL(str(path))
    raise MissingServerError("this build of confluent-kafka does not bring librdkafka as a file")
