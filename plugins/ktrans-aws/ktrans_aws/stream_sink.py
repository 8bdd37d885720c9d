"""What the sinks of streams and queues of AWS share: a client, and the failures of a request's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import Field

from ktrans.api import ConfigError, KtransError, RetryableError
from ktrans.kit.messages.options import MessageSinkConfig
from ktrans.kit.messages.sink import MessageSink
from ktrans.kit.objects.once import once
from ktrans_aws.client import AwsConfig, make_client
from ktrans_aws.errors import part_error


class AwsMessageConfig(AwsConfig, MessageSinkConfig):
    """Options of the sinks of streams and queues."""

    requests_at_once: int = Field(
        4, ge=1, le=64, description="Requests under way at a time.", examples=[8]
    )


K = TypeVar("K", bound=AwsMessageConfig)


class AwsMessageSink(MessageSink[K]):
    """A sink of messages with a client of one service.

    Attributes:
        service: as boto3 names it.
    """

    service: str

    @once
    def client(self) -> Any:
        """The client; its requests may run side by side."""
        return make_client(self.config, self.service, connections=self.config.requests_at_once)

    def close(self) -> None:
        made = self.__dict__.pop("client", None)
        if made is not None:
            made.close()
        super().close()


def failures(results: Sequence[Mapping[str, Any]], count: int, what: str) -> dict[int, KtransError]:
    """Return why records were not accepted, by their place, from the answer of a stream.

    Raises:
        RetryableError: the answer is not about all records.
    """
    if len(results) != count:
        raise unanswered(count - len(results), what)
    return {
        at: part_error(what, one["ErrorCode"], one.get("ErrorMessage", ""))
        for at, one in enumerate(results)
        if one.get("ErrorCode")
    }


def described(answer: Mapping[str, Any], name: str, what: str) -> Mapping[str, Any]:
    """Return the description of a stream within an answer.

    Raises:
        ConfigError: it has none, so that it is of another service.
    """
    found = answer.get(name)
    if not isinstance(found, Mapping):
        raise ConfigError(
            f"cannot look at {what}: the answer is not that of AWS",
            field="endpoint_url",
            code="refused",
            hint="correct `endpoint_url`, or leave it out",
        )
    return found


def unanswered(count: int, what: str) -> RetryableError:
    """Return the error for parts of a request of which the answer says nothing."""
    return RetryableError(
        f"cannot {what}: the answer says nothing about {count} of them",
        code="busy",
        hint="check `endpoint_url`",
    )
