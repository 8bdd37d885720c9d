"""The `pubsub` source: messages of a subscription, spooled before they are acknowledged."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from ktrans.api import (
    Budget,
    ConfigError,
    Context,
    Dataset,
    Memory,
    Plan,
    Source,
    Split,
    UsageError,
)
from ktrans.kit.notifications import refuse_message
from ktrans.kit.spool.payload import SegmentPayload, spool_folder
from ktrans.kit.spool.plan import first_number, segments_plan, take
from ktrans.kit.spool.recorded import unrecorded
from ktrans.kit.spool.segments import MESSAGES, Segment, Spool
from ktrans_gcp.errors import google_errors
from ktrans_gcp.pubsub_client import look, subscriber
from ktrans_gcp.pubsub_intake import Intake
from ktrans_gcp.pubsub_puller import ACCESS, MISSING, Puller
from ktrans_gcp.pubsub_refused import from_spool
from ktrans_gcp.pubsub_source_config import PubsubSourceConfig


class PubsubSource(Source[PubsubSourceConfig]):
    """Receives messages into the spool while planning, and removes them once they are recorded."""

    reads = "shared_path"
    bound_because = "the messages that it has received wait in a local folder"

    def __init__(self, config: PubsubSourceConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._spool = Spool(spool_folder(self.context, config.spool_dir))
        self._intake: Intake | None = None
        self._client: Any = None
        self._temporary: TemporaryDirectory[str] | None = None

    @property
    def _what(self) -> str:
        return f"subscription {self.config.full_name}"

    def datasets(self) -> list[Dataset]:
        return [Dataset("pubsub", f"subscription:{self.config.project}:{self.config.subscription}")]

    def check(self) -> None:
        name = self.config.full_name
        self._spool.check()
        with google_errors(self._what, missing=MISSING, access=ACCESS, checking=True):
            client = self._connect()
            get = partial(client.get_subscription, subscription=name)
            found = look(get, client, name, "pubsub.subscriptions.consume")
        if found is None:
            return
        pushes = (
            found.push_config.push_endpoint
            or found.bigquery_config.table
            or found.cloud_storage_config.bucket
        )
        if pushes:
            raise ConfigError(
                f"{self._what} delivers to {pushes} by itself",
                field="subscription",
                code="not_pull",
                hint="make a pull subscription of the same topic for this pipeline",
            )

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Plan the segments that wait, then receive until the budget is full or few messages come.

        Waits up to `idle_timeout` for the first message.
        """
        first = first_number(position)
        intake = self._begin(first)
        waiting = self._waiting(memory, budget)
        taken: list[Segment] = []
        size = take(waiting, taken, 0, budget)
        number = max(first - 1, *(s.number for s in self._spool.segments()), 0) + 1
        while not waiting and not budget.full(len(taken), size) and not (taken and intake.slow):
            waiting = intake.fill(number)
            if not waiting:
                break
            number = waiting[-1].number + 1
            size += take(waiting, taken, size, budget)
        take([*waiting, *intake.drain(number)], taken, size, budget)
        intake.log_repeated()
        notes = tuple(intake.skipped.notes())
        intake.skipped.log(self.context)
        if not taken:
            return Plan((), position, notes=notes) if notes else None
        return segments_plan(position, taken, self._split, memory, self._uri, notes)

    def _waiting(self, memory: Memory, budget: Budget) -> list[Segment]:
        """Return the segments that wait, and remove those whose run died before `commit`."""
        left = unrecorded(self._spool, memory, self._uri)
        return [segment for segment in left if self._uri(segment.number) not in budget.skip]

    def open(self, split: Split) -> SegmentPayload:
        refuse_message(split)
        why = ": their messages are acknowledged"
        return SegmentPayload(split, self._spool.folder / split.data["file"], why)

    def commit(self, plan: Plan) -> None:
        """Remove the segments of the plan; their messages are acknowledged already."""
        for split in plan.splits:
            (self._spool.folder / split.data["file"]).unlink(missing_ok=True)
        if self._intake is not None:
            self._intake.seen.trim(plan.position["next"])

    def reset(self) -> None:
        """Forget the messages that were received, and their ids."""
        self._spool.clear()
        for path in self._seen_folder.glob("*.ids"):
            path.unlink()

    def close(self) -> None:
        """Release messages that are not acknowledged, and close the connection."""
        if self._intake is not None:
            self._intake.close()
            self._intake = None
        if self._client is not None:
            self._client.transport.close()
            self._client = None
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def check_rewind(self) -> None:
        """Raise an error: only the subscription can deliver acknowledged messages again."""
        raise UsageError(
            f"the pubsub source cannot go back: {self._what} has forgotten what was acknowledged",
            code="cannot_rewind",
            hint="if it retains acknowledged messages, `gcloud pubsub subscriptions seek "
            "SUBSCRIPTION --time=TIME` delivers them again; the next run takes them as new",
        )

    def position_from(self, text: str) -> Any:
        """Raise an error: Pub/Sub keeps the position of a subscription."""
        raise UsageError(
            f"the pubsub source cannot start from {text!r}",
            hint="seek the subscription: gcloud pubsub subscriptions seek --time=... "
            f"{self.config.subscription}",
        )

    @property
    def _seen_folder(self) -> Path:
        name = quote(f"{self.config.project}.{self.config.subscription}", "")
        return self._spool.folder / "seen" / name

    def _connect(self) -> Any:
        if self._client is None:
            self._client = subscriber(self.config, self.context)
        return self._client

    def _begin(self, first: int) -> Intake:
        """Connect, and remove what a killed run has left; once."""
        if self._intake is not None:
            return self._intake
        if self.context.ephemeral:
            self._temporary = TemporaryDirectory(prefix="ktrans-")
            self._spool.folder = Path(self._temporary.name)
        self._spool.check()
        self._spool.discard_unfinished()
        with google_errors(self._what, missing=MISSING, access=ACCESS):
            client = self._connect()
        puller = Puller(client, self.config, self.context)
        self._intake = Intake(self._spool, self._seen_folder, puller, self.config, self.context)
        self._intake.seen.load(first, (segment.number for segment in self._spool.segments()))
        return self._intake

    def _uri(self, number: int) -> str:
        return f"pubsub://{self.config.project}/{self.config.subscription}/{number}"

    def _split(self, segment: Segment) -> Split:
        uri, path = self._uri(segment.number), self._spool.path(segment)
        if segment.stream == MESSAGES:
            return from_spool(path, uri)
        return Split(uri, uri, segment.size, {"file": path.name})
