"""The `http` source: receives what services push, and answers once it is on disk."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ktrans.api import (
    Budget,
    Context,
    Dataset,
    Memory,
    Plan,
    RetryableError,
    Source,
    Split,
    UsageError,
)
from ktrans.kit import log_events
from ktrans.kit.listen import parse_address
from ktrans.kit.spool.payload import SegmentPayload, spool_folder
from ktrans.kit.spool.plan import first_number, segments_plan, take
from ktrans.kit.spool.recorded import unrecorded
from ktrans.kit.spool.segments import Segment, Spool
from ktrans.sources.receiver.config import HttpSourceConfig
from ktrans.sources.receiver.intake import Intake, forget_ids

__all__ = ["HttpSource", "HttpSourceConfig"]

GRACE_SECS = 10.0
"""How long requests in flight may take once the source is closed."""
_WAIT_SECS = 0.2


class HttpSource(Source[HttpSourceConfig]):
    """Listens in a thread from the first plan on, and plans the segments that it has filled."""

    reads = "shared_path"
    bound_because = "what it has received waits in a local folder"

    def __init__(self, config: HttpSourceConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._spool = Spool(spool_folder(self.context, config.spool_dir))
        self._intake: Intake | None = None
        self._server: Any = None

    def datasets(self) -> list[Dataset]:
        return [Dataset("http", self.config.listen)]

    def check(self) -> None:
        self._spool.check()
        self._tls()

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Plan the segments that wait; if there are none, wait for one up to `idle_timeout`."""
        if not self.context.ephemeral:
            self.listen(first_number(position))
        idle_since = self.context.clock.monotonic()
        waiting = self._waiting(memory, budget)
        more = True
        while not waiting and more:
            more = self._is_awaited(idle_since)
            waiting = self._waiting(memory, budget)
        taken: list[Segment] = []
        take(waiting, taken, 0, budget)
        return segments_plan(position, taken, self._split, memory, self._uri) if taken else None

    def open(self, split: Split) -> SegmentPayload:
        why = ": their requests are answered"
        return SegmentPayload(split, self._spool.folder / split.data["file"], why)

    def commit(self, plan: Plan) -> None:
        """Forget old ids; the next `plan` removes the segments, if they were not quarantined."""
        if self._intake is not None:
            self._intake.trim(plan.position["next"])

    def reset(self) -> None:
        """Forget what was received, and the ids."""
        self._spool.clear()
        forget_ids(self._spool.folder)

    def close(self) -> None:
        """Answer what is in flight, and finish the segments: the next run reads them."""
        if self._server is not None:
            self._server.stop(0.0 if self.context.abandoned() else GRACE_SECS)
            self._server = None
        if self._intake is not None:
            self._intake.stop()
            self._intake = None

    def check_rewind(self) -> None:
        """Raise UsageError: what was sent cannot be read twice."""
        raise UsageError(
            "the http source cannot go back: what was sent is removed once it is recorded",
            code="cannot_rewind",
            hint="let the senders send again; requests with an id that is remembered are dropped",
        )

    def position_from(self, text: str) -> Any:
        """Raise UsageError: what is sent has no positions."""
        raise UsageError(
            f"the http source cannot start from {text!r}",
            hint="it reads what is sent, from the first request on",
        )

    @property
    def port(self) -> int | None:
        """The port, once it listens."""
        return self._server.port if self._server is not None else None

    def listen(self, first: int) -> None:
        """Begin to listen; once.

        Args:
            first: number of the first segment that is not committed.
        """
        if self._server is not None:
            return
        config = self.config
        self._spool.check()
        tls = self._tls()
        if self._intake is None:
            intake = Intake(
                self._spool,
                dedupe=config.dedupe_requests,
                segment_size=config.segment_size,
                segment_age=config.segment_age,
                max_size=config.max_spool_size,
                context=self.context,
            )
            intake.start(first)
            self._intake = intake
        self._server = self._serve(self._intake, tls)

    def _serve(self, intake: Intake, tls: Any) -> Any:
        from ktrans.sources.receiver.connection import ClientLimits
        from ktrans.sources.receiver.protocols import PROTOCOLS, Endpoint
        from ktrans.sources.receiver.server import Server

        config = self.config
        endpoints = {
            one.path: Endpoint(
                one.path,
                PROTOCOLS[one.protocol](config.max_inflated_size, self.context.limits),
                tuple(token.get_secret_value() for token in one.tokens),
            )
            for one in config.endpoints
        }
        limits = ClientLimits(
            connections=config.max_connections,
            body=config.max_body_size,
            held=config.max_held_size,
            header=config.max_header_size,
            idle=config.keep_alive,
            request=config.request_timeout,
        )
        address = parse_address(config.listen)
        server = Server(address, endpoints, limits, intake, tls, self.context)
        scheme = "http" if tls is None else "https"
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.context.log.info(
            "http: listening on %s://%s:%d",
            scheme,
            host,
            server.port,
            extra={"event": log_events.LISTENING, "port": server.port},
        )
        return server

    def _tls(self) -> Any:
        """Return the certificate, or None."""
        tls = self.config.tls
        if tls is None:
            return None
        from ktrans.sources.receiver.tls import Tls

        authority = self.context.path(tls.client_ca_file) if tls.client_ca_file else None
        certificate = self.context.path(tls.certificate_file)
        return Tls(certificate, self.context.path(tls.key_file), authority)

    def _is_awaited(self, since: float) -> bool:
        """Wait a moment for a segment; returns whether more may come.

        Raises:
            RetryableError: nothing is received any more.
        """
        if self._intake is None or self._server is None:
            return False
        self._intake.wait(min(_WAIT_SECS, self.config.idle_timeout))
        if not self._server.working:
            raise RetryableError("the HTTP server has stopped", code="server_stopped")
        last = max(since, self._server.last, self._intake.last)
        idle = self.context.clock.monotonic() - last
        busy = self._intake.busy or self._server.held > 0
        return not self.context.stopping() and (busy or idle < self.config.idle_timeout)

    def _waiting(self, memory: Memory, budget: Budget) -> list[Segment]:
        """Return the segments that wait, and remove those that are recorded."""
        if self.context.ephemeral:  # a preview shows what waits, and leaves it
            segments = self._spool.segments()
            known = memory.recall([self._uri(segment.number) for segment in segments])
            left = [one for one in segments if self._uri(one.number) not in known]
        else:
            left = unrecorded(self._spool, memory, self._uri)
        return [segment for segment in left if self._uri(segment.number) not in budget.skip]

    def _uri(self, number: int) -> str:
        return f"http://{quote(self.context.pipeline, '')}/{number}"

    def _split(self, segment: Segment) -> Split:
        uri = self._uri(segment.number)
        return Split(uri, uri, segment.size, {"file": self._spool.path(segment).name})
