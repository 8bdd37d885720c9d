"""CloudWatch Logs: groups, and events of a time range within the service's quota.

Source: Amazon CloudWatch Logs API Reference, FilterLogEvents (pages may be empty before the last one) and
DescribeLogGroups; "CloudWatch Logs quotas" (FilterLogEvents: 5 to 10 requests a second).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np

from ktrans.api import ConfigError, Context, InterruptedRunError
from ktrans.kit.retry import Retry, interruptible_sleep, with_retries
from ktrans_aws.errors import aws_errors
from ktrans_aws.logs_config import CloudwatchLogsSourceConfig

R = TypeVar("R")
_RETRY = Retry(None, total_secs=120, first_wait_secs=0.3, max_wait_secs=10)
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Group:
    """A log group.

    Attributes:
        created: when it was created, in milliseconds since 1970.
        kept_ms: how long events are kept, in milliseconds; None for ever.
    """

    created: int
    kept_ms: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """A log event: its time in milliseconds since 1970, its id, a digest of it, and its text."""

    time: int
    name: str
    digest: int
    message: str


class LogsClient:
    """Calls the service; throttled and failing calls are repeated."""

    def __init__(self, client: Any, config: CloudwatchLogsSourceConfig, context: Context) -> None:
        self._client = client
        self._config = config
        self._context = context
        self._lock = threading.Lock()
        self._next_call = 0.0

    def groups(self) -> dict[str, Group]:
        """Return the groups that the options name, by name.

        Raises:
            ConfigError: one that is named in `groups` does not exist.
        """
        found: dict[str, Group] = {}
        for prefix in self._config.group_prefixes:
            found |= self._listed(prefix)
        for name in self._config.groups:
            group = self._listed(name).get(name)
            if group is None:
                raise ConfigError(
                    f"there is no log group {name}",
                    field="groups",
                    code="not_found",
                    hint="check the name, and `region`",
                )
            found[name] = group
        return found

    def pages(self, group: str, begin: int, end: int) -> Iterator[list[Event]]:
        """Yield the events of a group from one time to another one, both included, page by page."""
        # Streams are read side by side, so that the times of pages ascend; AWS does it in any case.
        request: dict[str, Any] = {
            "logGroupName": group,
            "startTime": begin,
            "endTime": end,
            "interleaved": True,
        }
        if self._config.stream_prefix:
            request["logStreamNamePrefix"] = self._config.stream_prefix
        if self._config.filter_pattern:
            request["filterPattern"] = self._config.filter_pattern
        while True:
            self._pace()
            answer = self._repeated(
                f"read the log group {group}", self._client.filter_log_events, request
            )
            yield [
                Event(one["timestamp"], one["eventId"], _digest(one["eventId"]), one["message"])
                for one in answer["events"]
            ]
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]

    def check(self) -> None:
        """Check that the service answers, that groups exist, and that their events may be read."""
        with aws_errors("list log groups", checking=True):
            self._client.describe_log_groups(limit=1)
        for group in sorted(self.groups())[:1]:
            with aws_errors(f"read the log group {group}", checking=True):
                self._client.filter_log_events(logGroupName=group, limit=1)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _listed(self, prefix: str) -> dict[str, Group]:
        request = {"logGroupNamePrefix": prefix}
        found = {}
        while True:
            answer = self._repeated(
                f"list the log groups {prefix}*", self._client.describe_log_groups, request
            )
            for one in answer["logGroups"]:
                days = one.get("retentionInDays")
                found[one["logGroupName"]] = Group(
                    one.get("creationTime", 0), days * _DAY_MS if days else None
                )
            if not answer.get("nextToken"):
                return found
            request["nextToken"] = answer["nextToken"]

    def _pace(self) -> None:
        """Wait until another request for events may be made."""
        clock = self._context.clock
        with self._lock:
            now = clock.monotonic()
            then = max(now, self._next_call)
            self._next_call = then + 1 / self._config.requests_per_second
        if then > now:
            clock.wait(then - now)

    def _repeated(self, what: str, call: Callable[..., R], request: dict[str, Any]) -> R:
        context = self._context

        def attempt() -> R:
            with aws_errors(what):
                return call(**request)

        def stop_if_asked(_: object) -> None:
            if context.stopping() or context.abandoned():
                raise InterruptedRunError(f"the run was stopped while it could not {what}")

        return with_retries(
            attempt,
            _RETRY,
            sleep=interruptible_sleep(lambda: context.stopping() or context.abandoned()),
            before_wait=stop_if_asked,
            health=context.health,
        )


def digests_of(events: list[Event]) -> np.ndarray:
    """Return the digests of events: uint64, shape (events,)."""
    return np.array([event.digest for event in events], np.uint64)


def _digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
