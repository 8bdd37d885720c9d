"""Names of addresses, from memory, from the cache on disk, and from DNS."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from pathlib import Path

import msgspec

from ktrans.api import Context
from ktrans_dns import log_events
from ktrans_dns.answers import STALE_SECS, Answer, DiskCache
from ktrans_dns.resolver import Resolver

_IN_MEMORY = 200_000
_WRITE_EVERY = 200
_UNUSABLE: tuple[type[Exception], ...] = (OSError, sqlite3.Error)


class Names:
    """Finds names; any thread may ask.

    Args:
        context: for the log and the time.
        resolver: makes the resolver, which calls the function that it is given with each answer.
        folder: where the cache is, if on disk.
        patience: how long a call waits for new names, in seconds.
    """

    def __init__(
        self,
        context: Context,
        resolver: Callable[[Callable[[str, Answer], None]], Resolver],
        folder: Path | None,
        patience: float,
    ) -> None:
        self._context = context
        self._patience = patience
        self._lock = threading.Lock()
        self._known: dict[str, Answer] = {}
        self._unwritten: list[tuple[str, Answer]] = []
        self._counts = {"asked": 0, "named": 0, "unnamed": 0, "failed": 0, "late": 0}
        self._silent = False
        self._disk: DiskCache | None = None
        if folder is not None:
            try:
                self._disk = DiskCache(folder, self._now())
            except _UNUSABLE as error:
                self._give_up_disk(error)
        self._resolver = resolver(self._answered)

    def find(self, addresses: Sequence[str]) -> dict[str, str | None]:
        """Return the names of addresses, None for those without one and those that have not come."""
        now = self._now()
        found = self._remembered(addresses)
        new = [text for text in addresses if text not in found]
        old = [text for text, answer in found.items() if answer.is_due(now)]
        futures = self._resolver.ask(new)
        self._resolver.ask(old)
        if futures and not self._resolver.silent:
            ends = time.monotonic() + self._patience
            while futures and (left := ends - time.monotonic()) > 0:
                futures = list(wait(futures, min(left, 0.1)).not_done)
                if self._resolver.silent:
                    break
        with self._lock:
            came = self._usable({text: self._known[text] for text in new if text in self._known})
            self._counts["late"] += len(new) - len(came)
            found |= came
        return {text: answer.name for text, answer in found.items()}

    def close(self) -> None:
        """Stop asking, keep what came, and say in the log what was asked."""
        self._resolver.close()
        self._write()
        if self._disk is not None:
            self._disk.close()
            self._disk = None
        counts = self._counts
        self._context.log.info(
            "dns: %d addresses asked for: %d named, %d without a name, %d failed; %d times too late",
            *counts.values(),
            extra={"event": log_events.DNS_NAMES, **counts},
        )

    def _remembered(self, addresses: Sequence[str]) -> dict[str, Answer]:
        """Return what is known in memory or on disk and not too old."""
        with self._lock:
            found = {text: self._known[text] for text in addresses if text in self._known}
        missing = [text for text in addresses if text not in found]
        disk = self._disk  # another thread may give it up
        if missing and disk is not None:
            try:
                kept = disk.get(missing)
            except _UNUSABLE as error:
                self._give_up_disk(error)
                kept = {}
            with self._lock:
                self._remember(kept)
            found |= kept
        return self._usable(found)

    def _usable(self, answers: dict[str, Answer]) -> dict[str, Answer]:
        oldest = self._now() - STALE_SECS
        return {text: one for text, one in answers.items() if one.expires > oldest}

    def _remember(self, answers: dict[str, Answer]) -> None:
        if len(self._known) + len(answers) > _IN_MEMORY:
            for text in list(self._known)[: _IN_MEMORY // 2]:
                del self._known[text]
        self._known |= answers

    def _answered(self, text: str, answer: Answer) -> None:
        """Take an answer; a failure does not replace a name that is known."""
        kind = "failed" if answer.failed else "named" if answer.name else "unnamed"
        with self._lock:
            self._counts["asked"] += 1
            self._counts[kind] += 1
            old = self._known.get(text)
            if answer.failed and old is not None and not old.failed and self._usable({text: old}):
                answer = msgspec.structs.replace(old, failed_until=answer.expires)
            self._remember({text: answer})
            self._unwritten.append((text, answer))
            full = len(self._unwritten) >= _WRITE_EVERY
        if full:
            self._write()
        self._report(silent=self._resolver.silent)

    def _report(self, *, silent: bool) -> None:
        if silent == self._silent:
            return
        self._silent = silent
        if silent:
            self._context.log.warning(
                "dns: no server answers; rows do not wait for names",
                extra={"event": log_events.DNS_SILENT},
            )
        else:
            self._context.log.info(
                "dns: a server answers again", extra={"event": log_events.DNS_ANSWERS}
            )

    def _write(self) -> None:
        with self._lock:
            answers, self._unwritten = self._unwritten, []
        disk = self._disk
        if disk is None or not answers:
            return
        try:
            disk.put(answers, self._now())
        except _UNUSABLE as error:
            self._give_up_disk(error)

    def _give_up_disk(self, error: Exception) -> None:
        self._disk = None
        self._context.log.warning(
            "dns: the cache on disk cannot be used: %s",
            error,
            extra={"event": log_events.DNS_CACHE_UNUSABLE},
        )

    def _now(self) -> float:
        return self._context.clock.now().timestamp()
