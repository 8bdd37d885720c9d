"""Runs several pipelines in one process, and applies a new configuration between their epochs.

Everything here happens in one thread, the one that calls `Fleet.run`; each pipeline runs in a thread
of its own.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ktrans.api import KtransError, UsageError
from ktrans.config.load import Loaded, flatten_errors
from ktrans.engine.failures import to_ktrans_error
from ktrans.engine.fleet.allocation import check_stdio_conflicts
from ktrans.engine.fleet.config_watch import ConfigWatch
from ktrans.engine.fleet.fingerprint import pipeline_fingerprint, referenced_files
from ktrans.engine.fleet.member import Member
from ktrans.engine.fleet.observer import FleetObserver, ReloadChange
from ktrans.engine.fleet.request import FleetRequest, build_members

if TYPE_CHECKING:
    from ktrans.config.draft import LoadedFile
    from ktrans.registry.catalogue import Catalogue

TICK_SECS = 0.2
"""How often signals are passed on to the pipelines."""


class Fleet:
    """The pipelines of one process.

    Attributes:
        wrong: the pipelines that could not be loaded at the start, with `keep_going`.
        members: the latest run of each present or former pipeline, by name.
        generation: the number of configurations that were applied.
    """

    def __init__(
        self, request: FleetRequest, catalogue: Catalogue, observer: FleetObserver | None = None
    ) -> None:
        self.request = request
        self.catalogue = catalogue
        self.observer = observer or FleetObserver()
        self.wrong: list[tuple[Path, KtransError]] = []
        self.members: dict[str, Member] = {}
        self.generation = 0
        self._pending: dict[str, Member] = {}
        self._leaving: list[Member] = []
        self._wake = threading.Event()
        self._reload_asked = False
        self._watch = ConfigWatch(request.paths)

    def prepare(self) -> None:
        """Load, validate and build all pipelines; none starts.

        Raises:
            KtransError: the errors; with `keep_going` only if no pipeline is valid.
        """
        loaded, began = self._load()
        built = self._build(loaded, loaded.files, None)
        self._pending = {member.name: member for member in built}
        error = loaded.error()
        if error is None or (self.request.keep_going and built):
            error = self._usage_error()
        if error is not None:
            for member in built:
                member.discard()
            raise error
        self.wrong = loaded.wrong
        self._watch.loaded(self._files, began)
        self.generation = 1

    def _usage_error(self) -> KtransError | None:
        """Return an error if an option does not fit the loaded pipelines."""
        if self.request.run.start is not None and len(self._pending) > 1:
            return UsageError(
                "--from is for one pipeline, but there are several",
                hint=f"choose one with --pipeline: {', '.join(self._pending)}",
            )
        if self.request.watch and not self.follows:
            return UsageError(
                "--watch needs a run that follows its source, and this one ends when everything is read",
                hint="add --follow",
            )
        return None

    @property
    def waiting(self) -> list[Member]:
        """Members that are ready to start."""
        return list(self._pending.values())

    @property
    def follows(self) -> bool:
        """Whether a pipeline stays and waits for new input."""
        members = (*self.members.values(), *self._pending.values())
        return any(member.options.follow for member in members)

    def run(
        self, stop: threading.Event, abandon: threading.Event, reload: threading.Event
    ) -> list[Member]:
        """Run all pipelines until each has ended.

        After `stop` no pipeline starts another epoch, and each has its grace period for the
        current one; `abandon` undoes current epochs at once. `reload` is cleared when that
        begins.

        Returns:
            The latest run of each pipeline, in the order of their files.
        """
        try:
            self._start()
            while self._step(stop, abandon, reload):
                self._wake.wait(TICK_SECS)
                self._wake.clear()
        finally:
            for member in self._pending.values():
                member.discard()
            for member in self._running():
                member.cancellation.stop.set()
                member.join()
        self._reap()
        return list(self.members.values())

    def _step(
        self, stop: threading.Event, abandon: threading.Event, reload: threading.Event
    ) -> bool:
        """Pass on signals, start and end members; return whether any member is left."""
        for member in self._running():
            if stop.is_set():
                member.cancellation.stop.set()
            if abandon.is_set():
                member.cancellation.abandon.set()
        self._reap()
        if stop.is_set():
            for member in self._pending.values():
                member.discard()
            self._pending.clear()
        else:
            self._reload_if_due(reload)
            self._start()
        return bool(self._pending) or bool(self._running())

    # -- members ------------------------------------------------------------------------------

    def _running(self) -> list[Member]:
        known = (*self.members.values(), *self._leaving)
        return [member for member in known if not member.ended]

    def _start(self) -> None:
        for name, member in list(self._pending.items()):
            if all(old.ended for old in member.after):
                del self._pending[name]
                member.after = []
                self.members[name] = member
                self.observer.starting(member)
                member.start(self._wake.set)

    def _reap(self) -> None:
        for member in (*self.members.values(), *self._leaving):
            if member.ended and not member.reported:
                member.reported = True
                member.join()
                self.observer.ended(member)
        gone = [member for member in self._leaving if member.ended]
        self._leaving = [member for member in self._leaving if not member.ended]
        for member in gone:
            if member.removed and member.name not in self._pending:
                self.observer.removed(member.name)

    def _build(
        self, loaded: Loaded, files: list[LoadedFile], previous: dict[str, Member] | None
    ) -> list[Member]:
        return build_members(loaded, files, self.request, self.catalogue, self.observer, previous)

    # -- loading ------------------------------------------------------------------------------

    def _load(self) -> tuple[Loaded, int]:
        began = time.time_ns()
        seen: set[Path] = set()
        loaded = self.request.load(self.catalogue, seen)
        check_stdio_conflicts([file.pipeline for file in loaded.files])
        for file in loaded.files:
            seen.update(referenced_files(file.pipeline))
        self._files = seen
        return loaded, began

    def _reload_if_due(self, reload: threading.Event) -> None:
        if reload.is_set():
            reload.clear()
            self._reload_asked = True
        if (self._reload_asked or self.request.watch) and self._watch.due(asked=self._reload_asked):
            self._reload_asked = False
            self._reload()

    def _known(self) -> dict[str, Member]:
        """Return the members of the current configuration, by name."""
        known = {**self.members, **self._pending}
        return {name: member for name, member in known.items() if not member.removed}

    def _reload(self) -> None:
        try:
            self._reload_or_raise()
        except Exception as error:  # noqa: BLE001 - the running pipelines continue
            self.observer.reload_failed([to_ktrans_error(error)])

    def _reload_or_raise(self) -> None:
        loaded, began = self._load()
        old = self._known()
        fresh = [file for file in loaded.files if not _unchanged(old.get(file.pipeline.name), file)]
        built = self._build(loaded, fresh, old)
        self._watch.loaded(self._files, began)
        if loaded.wrong and not (self.request.keep_going and loaded.files):
            for member in built:
                member.discard()
            self.observer.reload_failed(_errors(loaded))
            return
        self._apply(old, loaded, built)
        if loaded.wrong:
            self.observer.reload_failed(_errors(loaded))

    def _apply(self, old: dict[str, Member], loaded: Loaded, built: list[Member]) -> None:
        """Replace members of the old configuration by those of the new one."""
        invalid = {path for path, _ in loaded.wrong}
        names = {file.pipeline.name for file in loaded.files}
        removed = [m for name, m in old.items() if name not in names and m.path not in invalid]
        replaced = {member.name for member in built} & old.keys()
        for member in removed:
            member.removed = True
        for member in (*removed, *(old[name] for name in replaced)):
            self._retire(member)
        for member in built:
            member.after = [
                other
                for other in self._leaving
                if other.name == member.name or (other.removed and other.path == member.path)
            ]
            self._pending[member.name] = member
        self.generation += 1
        self.observer.reloaded(
            ReloadChange(
                self.generation,
                tuple(m.name for m in built if m.name not in replaced),
                tuple(sorted(replaced)),
                tuple(m.name for m in removed),
                tuple(name for name in old if name in names - replaced),
            )
        )

    def _retire(self, member: Member) -> None:
        """Stop a member after its current epoch; one that has not started is discarded."""
        if self._pending.get(member.name) is member:
            del self._pending[member.name]
            member.discard()
            if not member.removed or member.name not in self.members:
                return
            member = self.members[member.name]
            member.removed = True
        member.cancellation.stop_after_epoch.set()
        if member.ended and member.removed:
            self.observer.removed(member.name)
        elif not member.ended and member not in self._leaving:
            self._leaving.append(member)


def _unchanged(member: Member | None, file: LoadedFile) -> bool:
    return (
        member is not None
        and member.healthy
        and member.fingerprint == pipeline_fingerprint(file.pipeline)
    )


def _errors(loaded: Loaded) -> list[KtransError]:
    return [one for _, error in loaded.wrong for one in flatten_errors(error)]
