"""An admin client of a cluster, for the questions of the source and the sink."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from typing import Any

from ktrans.api import Context, InterruptedRunError, RetryableError
from ktrans.kit.retry import Retry, with_retries
from ktrans_kafka.client import ConnectionErrors, KafkaConfig, connection, kafka, kafka_admin
from ktrans_kafka.errors import may_pass, translate

_ANSWER_SECS = 1.0
_RETRY_SECS = 0.5


class Admin:
    """An admin client, which connects on first use. Thread-safe."""

    def __init__(self, config: KafkaConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._timeout = config.connect_timeout
        self._lock = threading.Lock()
        self._client: Any = None
        self.errors = ConnectionErrors()

    def reach(self, *, connecting: bool = False) -> Any:
        """Wait for the cluster to answer, and return its metadata.

        A refused login or certificate is raised at once; `connecting` is as in `translate`.
        """
        client = self._connected()

        def passes(error: BaseException) -> bool:
            client.poll(0)  # serves error_cb
            return may_pass(error) and self.errors.access is None

        try:
            return with_retries(
                lambda: client.list_topics(timeout=min(_ANSWER_SECS, self._timeout)),
                Retry(None, self._timeout, first_wait_secs=0.05, max_wait_secs=0.05),
                retry_if=passes,
                before_wait=self.stop_if_abandoned,
                health=self._context.health,
            )
        except kafka.KafkaException as error:
            where = ", ".join(self._config.bootstrap_servers)
            raise self.errors.explain(
                error, f"kafka: reaching {where}", connecting=connecting
            ) from error

    def ask(self, doing: str, name: str, *arguments: Any, **options: Any) -> dict[Any, Any]:
        """Call a method of the client that returns futures, and wait for their results.

        The engine does not retry plans, so transient errors (a partition changes its leader) are
        retried here. In `doing`, {} stands for what a future is about.
        """
        answers = with_retries(
            lambda: self.ask_once(doing, name, *arguments, connecting=True, **options),
            Retry(None, self._timeout, first_wait_secs=_RETRY_SECS, max_wait_secs=_RETRY_SECS),
            before_wait=lambda _: self.reach(connecting=True),  # refreshes what it knows of leaders
            health=self._context.health,
        )
        self.errors.clear()
        return answers

    def ask_once(
        self, doing: str, name: str, *arguments: Any, connecting: bool = False, **options: Any
    ) -> dict[Any, Any]:
        """Like `ask`, without another attempt."""
        client, key = self._connected(), ""
        answers = {}
        try:
            futures = getattr(client, name)(*arguments, request_timeout=self._timeout, **options)
            for key, future in futures.items():
                answers[key] = self._result(future)
        except kafka.KafkaException as error:
            client.poll(0)  # serves error_cb, which may have the cause
            if may_pass(error):
                self.close()  # a client may not find a coordinator again that was gone
            what = doing.format(getattr(key, "topic", key))
            raise self.errors.explain(error, what, connecting=connecting) from error
        except TimeoutError as error:
            self.close()
            raise RetryableError(
                f"{doing.format(key)}: no answer in {self._timeout:.0f} s"
            ) from error
        return answers

    def _result(self, future: Any) -> Any:
        """Wait for a result, but no longer than the run does."""
        until = time.monotonic() + self._timeout + 10
        while not future.done() and time.monotonic() < until:
            wait([future], _ANSWER_SECS)
            self.stop_if_abandoned()
        return future.result(0)

    def stop_if_abandoned(self, _: object = None) -> None:
        """Raise InterruptedRunError if the run gives up; fits `before_wait` of retries."""
        if self._context.abandoned():
            raise InterruptedRunError("kafka: stopped while the cluster did not answer")

    def close(self) -> None:
        """Release the client; the next question makes a new one."""
        with self._lock:
            self._client = None

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                settings = connection(self._config, self._context) | {"error_cb": self.errors}
                try:
                    self._client = kafka_admin.AdminClient(settings)
                except kafka.KafkaException as error:
                    raise translate(error, "kafka: the options of librdkafka") from error
            return self._client
