"""The lease on a pipeline in a bucket: a small object that its holder renews.

The lease keeps runs apart, by the clocks of the machines. It does not make writing safe: the log
does, whose numbers can each be written once (`ktrans.kit.state.transaction_log`). With clocks that
disagree a run takes over too early or too late, but two runs never write.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ktrans.api import FencedError, LockedError, StateError
from ktrans.kit.objects.store import ConditionalStore, StoredObject
from ktrans.kit.retry import Retry, with_retries
from ktrans.kit.state import log_events

RENEWALS = 3
"""How often a lease is renewed during the time that it lasts."""

FAR_AHEAD = dt.timedelta(hours=2)
"""A lease that expires later than this was written with a wrong clock."""

OPENING = Retry(attempts=5, max_asked_secs=10)
"""For requests before a run has begun."""

RUNNING = Retry(attempts=10, max_asked_secs=10)
"""For requests during a run, whose epoch would be lost: for most of a minute."""

_log = logging.getLogger("ktrans.state")


class Lease:
    """A hold on a pipeline that expires unless it is renewed."""

    def __init__(
        self, bucket: ConditionalStore, key: str, secs: float, pipeline: str, run: str = ""
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._secs = secs
        self._pipeline = pipeline
        self.token = secrets.token_hex(16)
        self._holder = {
            "token": self.token,
            "run": run,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": _text(_now()),
        }
        self._version = ""
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._lost = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the pipeline, renewing the lease in a thread.

        Raises:
            LockedError: another run holds it.
        """
        self._acquire()
        renewing = threading.Thread(target=self._keep_renewing, name="lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._over.set()
            self._release()

    def confirm(self) -> None:
        """Check that this run still has the lease.

        Raises:
            FencedError: another run has taken it.
        """
        found = None if self._lost else self._bucket.read(self._key)
        if found is None or self._read(found).get("token") != self.token:
            self._lost = True
            raise self.fenced()

    def fenced(self) -> FencedError:
        """Return the error for a run that has lost the lease."""
        return FencedError(
            f"another run has taken over pipeline {self._pipeline!r}: this one was suspended, or "
            f"could not reach {self._bucket.uri(self._key)}, for longer than its lease of "
            f"{self._secs:g} s",
            hint="nothing is lost: the other run goes on from what was recorded; if this happens "
            "often, raise state.lease_time",
        )

    # -- taking it ----------------------------------------------------------------------------

    def _acquire(self) -> None:
        found = with_retries(lambda: self._bucket.read(self._key), OPENING)
        if found is not None and _until(self._read(found)) > _now():
            raise self._locked(found)
        data = self._document(self._secs)
        version = with_retries(lambda: self._write(data, found), OPENING)
        if version is None:
            found = with_retries(lambda: self._bucket.read(self._key), OPENING)
            if found is None or found.data != data:  # or an answer was lost, and it is ours
                raise self._locked(found)
            version = found.version
        self._version = version

    def _write(self, data: bytes, found: StoredObject | None) -> str | None:
        if found is None:
            return self._bucket.create(self._key, data)
        return self._bucket.replace(self._key, data, found.version)

    def _release(self) -> None:
        with self._guard:
            if self._lost:
                return
            try:
                data = self._document(0)
                with_retries(lambda: self._give_back(data), OPENING)
            except Exception as error:  # noqa: BLE001  the run is over, whatever the SDK says
                _log.warning(
                    "the lease on %s was not released: %s",
                    self._pipeline,
                    error,
                    extra={"event": log_events.LEASE_NOT_RENEWED},
                )

    def _give_back(self, data: bytes) -> None:
        if self._bucket.replace(self._key, data, self._version) is not None:
            return
        found = self._bucket.read(self._key)  # a renewal arrived, and its answer was lost
        if found and found.data != data and self._read(found).get("token") == self.token:
            self._bucket.replace(self._key, data, found.version)

    # -- keeping it ---------------------------------------------------------------------------

    def _keep_renewing(self) -> None:
        while not self._over.wait(self._secs / RENEWALS):
            with self._guard:
                if self._over.is_set():
                    return
                try:
                    self._renew()
                except Exception as error:  # noqa: BLE001  else renewing would end
                    _log.warning(
                        "the lease on %s was not renewed: %s",
                        self._pipeline,
                        error,
                        extra={"event": log_events.LEASE_NOT_RENEWED},
                    )
                if self._lost:
                    _log.warning(
                        "another run has taken over pipeline %s",
                        self._pipeline,
                        extra={"event": log_events.LEASE_LOST},
                    )
                    return

    def _renew(self) -> None:
        version = self._bucket.replace(self._key, self._document(self._secs), self._version)
        if version is None:
            found = self._bucket.read(self._key)
            if found is None or self._read(found).get("token") != self.token:
                self._lost = True
                return
            version = found.version  # an earlier renewal arrived, and its answer was lost
        self._version = version

    # -- the object ---------------------------------------------------------------------------

    def _document(self, secs: float) -> bytes:
        until = _now() + dt.timedelta(seconds=secs)
        mark = secrets.token_hex(4)  # differs with each write
        return json.dumps({**self._holder, "until": _text(until), "mark": mark}).encode()

    def _read(self, found: StoredObject) -> dict[str, Any]:
        try:
            lease = json.loads(found.data)
            _until(lease)
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(
                f"{self._bucket.uri(self._key)} is not a lease of ktrans",
                code="state_damaged",
                hint="no other program may write there; remove the object if no run is active",
            ) from error
        return dict(lease)

    def _locked(self, found: StoredObject | None) -> LockedError:
        lease = self._read(found) if found is not None else {}
        until = _until(lease) if lease else None
        who = (
            f"run {lease['run'] or '-'} on {lease['host']}, process {lease['process']}, since "
            f"{lease['since']}, until {lease['until']} unless it renews its lease"
            if lease
            else "it has just begun or ended"
        )
        hint = (
            "wait for it to end, or use --if-locked skip in cron to leave quietly; the lease of a "
            "run that was killed expires by itself"
        )
        if until is not None and until - _now() > FAR_AHEAD:
            hint = (
                f"no lease lasts that long: the clock of {lease['host']}, or this one's, is wrong; "
                f"set it right, and if that run is gone, remove {self._bucket.uri(self._key)}"
            )
        return LockedError(
            f"another run of pipeline {self._pipeline!r} is under way ({who})",
            until=until,
            hint=hint,
        )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _text(time: dt.datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def _until(lease: dict[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(lease["until"])
