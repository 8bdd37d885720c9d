"""Publishes messages on a connection of their own, and waits until the server confirms all.

Source: RabbitMQ documentation, "Consumer Acknowledgements and Publisher Confirms": a message is confirmed
once every queue that it is routed to has it on disk; one that no queue takes is returned first.
"""

from __future__ import annotations

import logging
import urllib.parse
from typing import Any

import pika
from pika.exceptions import AMQPError
from pika.exchange_type import ExchangeType

from ktrans.api import Context, KtransError
from ktrans.kit.messages.encode import unpack
from ktrans.kit.messages.send import Request
from ktrans.kit.messages.tls import tls_context
from ktrans_rabbitmq.config import HEADER, KEY, RabbitmqSinkConfig
from ktrans_rabbitmq.errors import converted, late, not_taken, unroutable

_PERSISTENT = 2
logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs what it also raises


class Session:
    """A connection with one channel, for some work; subclasses implement `work`."""

    def __init__(self, config: RabbitmqSinkConfig, context: Context) -> None:
        self.config = config
        self.where = urllib.parse.urlsplit(config.url).netloc
        self._parameters = _parameters(config, context)
        self._error: KtransError | None = None
        self._ended = False
        self._connection: Any = None

    def run(self) -> None:
        """Connect, work, disconnect.

        Raises:
            KtransError: what failed.
        """
        connection: Any = pika.SelectConnection(
            self._parameters,
            on_open_callback=lambda made: made.channel(on_open_callback=self._opened),
            on_open_error_callback=lambda _, error: self._stop(error),
            on_close_callback=lambda _, error: self._stop(error),
        )
        self._connection, loop = connection, connection.ioloop
        timer = loop.call_later(self.config.timeout, self._too_late)
        try:
            loop.start()
        except (AMQPError, OSError) as error:
            raise converted(error, self.where) from error
        finally:
            loop.remove_timeout(timer)
            loop.close()
        if self._error is not None:
            raise self._error

    def work(self, channel: Any) -> None:
        """Do the work on an open channel, and call `end`."""
        raise NotImplementedError

    def end(self, error: KtransError | None = None) -> None:
        """Disconnect."""
        self._error = self._error or error
        self._ended = True
        if self._connection.is_open:
            self._connection.close()

    def _opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        self.work(channel)

    def _channel_closed(self, _: Any, error: BaseException) -> None:
        if not self._ended:
            self.end(converted(error, self.where))

    def _stop(self, error: BaseException) -> None:
        if not self._ended:
            self._error = self._error or converted(error, self.where)
        self._connection.ioloop.stop()

    def _too_late(self) -> None:
        self._error = late(self.where)
        self._ended = True
        self._connection.ioloop.stop()


class Check(Session):
    """Looks whether exchange and queue are there, as far as the options do not create them."""

    def work(self, channel: Any) -> None:
        """Look, without creating anything."""
        config = self.config
        if config.exchange and not config.declare_exchange:
            channel.exchange_declare(config.exchange, passive=True, callback=lambda _: self.end())
        elif not config.exchange and not config.declare_queue and "{" not in config.routing_key:
            channel.queue_declare(config.routing_key, passive=True, callback=lambda _: self.end())
        else:
            self.end()


class Publish(Session):
    """Publishes the messages of a request."""

    def __init__(self, config: RabbitmqSinkConfig, context: Context, request: Request) -> None:
        super().__init__(config, context)
        self._request = request
        self._open = set(range(len(request.ids)))
        self._places = {name: place for place, name in enumerate(request.ids)}
        self._failed: dict[int, KtransError] = {}

    def publish(self) -> dict[int, KtransError]:
        """Publish; return why some messages were not accepted, by their place in the request.

        Raises:
            KtransError: none was confirmed.
        """
        count = len(self._open)
        try:
            self.run()
        except KtransError as error:
            if len(self._open) == count:
                raise
            return {**dict.fromkeys(self._open, error), **self._failed}
        return self._failed

    def work(self, channel: Any) -> None:
        """Create what the options say, ask for confirms, and publish."""
        config = self.config
        channel.add_on_return_callback(self._returned)

        def confirm(_: Any = None) -> None:
            channel.confirm_delivery(self._confirmed, callback=lambda _: self._publish(channel))

        if config.declare_exchange:
            kind = ExchangeType(config.declare_exchange)
            channel.exchange_declare(config.exchange, kind, durable=True, callback=confirm)
        elif config.declare_queue:
            kinds = {"x-queue-type": config.declare_queue}
            channel.queue_declare(
                config.routing_key, durable=True, arguments=kinds, callback=confirm
            )
        else:
            confirm()

    def _publish(self, channel: Any) -> None:
        config = self.config
        for name, (data, texts) in zip(self._request.ids, unpack(self._request.batch), strict=True):
            key = texts.pop(KEY, config.routing_key)
            more = {each.removeprefix(HEADER): text for each, text in texts.items()}
            properties = pika.BasicProperties(
                message_id=name,
                delivery_mode=_PERSISTENT,
                app_id="ktrans",
                headers={**config.headers, **more} or None,
            )
            channel.basic_publish(config.exchange, key, data, properties, mandatory=True)

    def _returned(self, _: Any, method: Any, properties: Any, __: bytes) -> None:
        place = self._places[properties.message_id]
        self._failed[place] = unroutable(method.exchange, method.routing_key, self.where)

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        last = method.delivery_tag - 1
        places = [each for each in self._open if each <= last] if method.multiple else [last]
        self._open.difference_update(places)
        if isinstance(method, pika.spec.Basic.Nack):
            self._failed.update((place, not_taken(self.where)) for place in places)
        if not self._open:
            self.end()


def _parameters(config: RabbitmqSinkConfig, context: Context) -> Any:
    parts = urllib.parse.urlsplit(config.url)
    encrypted = parts.scheme == "amqps"
    name = urllib.parse.unquote(parts.path[1:]) or "/"
    tls = (
        pika.SSLOptions(tls_context(config, context, "rabbitmq_tls"), parts.hostname)
        if encrypted
        else None
    )
    return pika.ConnectionParameters(
        host=parts.hostname,
        port=parts.port or (5671 if encrypted else 5672),
        virtual_host=name,
        credentials=pika.PlainCredentials(config.username, config.password.get_secret_value()),
        ssl_options=tls,
        socket_timeout=min(config.timeout, 10),
        stack_timeout=0.9 * min(config.timeout, 15),  # before ours, as pika closes its socket then
        blocked_connection_timeout=config.timeout,
        client_properties={"connection_name": f"ktrans {context.pipeline}/{context.name}"},
    )
