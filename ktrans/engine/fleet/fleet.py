"""Runs pipelines side by side in one process, and changes to a new configuration at their edges.

Everything here happens in one thread, the one that calls `Fleet.run`; each pipeline has a thread of
its own, which knows nothing of the others.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ktrans.api import ConfigError, ExitCode, KtransError, UsageError
from ktrans.config.load import Loaded, told_apart
from ktrans.engine.cores import usable_cores
from ktrans.engine.failures import as_ktrans
from ktrans.engine.fleet.allocation import shares, told_streams_apart
from ktrans.engine.fleet.member import Member
from ktrans.engine.fleet.observer import FleetObserver, ReloadChange
from ktrans.engine.fleet.request import Order, fingerprint, tables
from ktrans.engine.fleet.watch import Watch

if TYPE_CHECKING:
    from ktrans.config.draft import LoadedFile
    from ktrans.registry.catalogue import Catalogue

TICK_SECS = 0.2
"""How often signals are passed on."""


class Fleet:
    """The pipelines of one process.

    Args:
        order: what to run.
        catalogue: where components come from.
        onlooker: who is told what happens.

    Attributes:
        wrong: what could not be loaded in the first place, with `Order.keep_going`.
        members: by name, the last run of each pipeline there is or was.
        generation: how many configurations were taken.
    """

    def __init__(
        self, order: Order, catalogue: Catalogue, observer: FleetObserver | None = None
    ) -> None:
        self.order = order
        self.catalogue = catalogue
        self.observer = observer or FleetObserver()
        self.wrong: list[tuple[Path, KtransError]] = []
        self.members: dict[str, Member] = {}
        self.generation = 0
        self._pending: dict[str, Member] = {}
        self._leaving: list[Member] = []
        self._wake = threading.Event()
        self._asked = False
        self._watch = Watch(order.paths)

    def prepare(self) -> None:
        """Load, validate and build all pipelines; none starts.

        Raises:
            KtransError: what is wrong; with `Order.keep_going` only if nothing is right.
        """
        loaded, began = self._load()
        built = self._build(loaded, loaded.files)
        self._pending = {member.name: member for member in built}
        error = loaded.error()
        if error is None or (self.order.keep_going and built):
            error = self._misfit()
        if error is not None:
            for member in built:
                member.discard()
            raise error
        self.wrong = loaded.wrong
        self._watch.loaded(self._files, began)
        self.generation = 1

    def _misfit(self) -> KtransError | None:
        """Say what was asked for that does not fit these pipelines."""
        if self.order.run.start is not None and len(self._pending) > 1:
            return UsageError(
                "--from is for one pipeline, and there are several",
                hint=f"choose one with --pipeline: {', '.join(self._pending)}",
            )
        if self.order.watch and not self.follows:
            return UsageError(
                "--watch is for a run that stays, and this one ends when all is read",
                hint="add --follow",
            )
        return None

    @property
    def waiting(self) -> list[Member]:
        """Those that are ready to start."""
        return list(self._pending.values())

    @property
    def follows(self) -> bool:
        """Whether a pipeline stays and waits for more."""
        members = (*self.members.values(), *self._pending.values())
        return any(member.options.follow for member in members)

    def run(
        self, stop: threading.Event, abandon: threading.Event, reload: threading.Event
    ) -> list[Member]:
        """Run all until each has come to its end, or was told to stop.

        Args:
            stop: no pipeline begins another epoch; each has its grace period for the one under way.
            abandon: epochs under way are undone at once.
            reload: load the configuration again; cleared when that begins.

        Returns:
            The last run of each pipeline, in the order of their files.
        """
        try:
            self._start()
            while self._step(stop, abandon, reload):
                self._wake.wait(TICK_SECS)
                self._wake.clear()
        finally:
            for member in self._pending.values():
                member.discard()
            for member in self._alive():
                member.cancellation.stop.set()
                member.join()
        self._reap()
        return list(self.members.values())

    def _step(
        self, stop: threading.Event, abandon: threading.Event, reload: threading.Event
    ) -> bool:
        """Do what there is to do; tell whether there will be more."""
        for member in self._alive():
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
        return bool(self._pending) or bool(self._alive())

    # -- members ------------------------------------------------------------------------------

    def _alive(self) -> list[Member]:
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
            if member.ended and not member.told:
                member.told = True
                member.join()
                self.observer.ended(member)
        gone = [member for member in self._leaving if member.ended]
        self._leaving = [member for member in self._leaving if not member.ended]
        for member in gone:
            if member.removed and member.name not in self._pending:
                self.observer.left(member.name)

    def _build(self, loaded: Loaded, files: list[LoadedFile]) -> list[Member]:
        """Build members of some of the files; what does not fit together goes to `loaded.wrong`."""
        pipelines = [file.pipeline for file in loaded.files]
        workers = shares(pipelines, usable_cores(), self.order.run.workers)
        built = []
        for file in files:
            options = replace(
                self.order.run,
                follow=self.order.follows(file.pipeline, self.catalogue),
                workers=workers[file.pipeline.name],
                start=self.order.run.start if self.generation == 0 else None,
            )
            try:
                observer = self.observer.observer(file.pipeline)
                built.append(Member(file, self.catalogue, options, observer))
                self._state_stays(built[-1])
            except Exception as error:  # noqa: BLE001 - one component's defect is not the others'
                loaded.wrong.append((file.pipeline.path, as_ktrans(error)))
                if built and built[-1].file is file:
                    built.pop().discard()
        return built

    def _state_stays(self, member: Member) -> None:
        """Refuse a reload that would have a pipeline begin anew, and write all its rows again."""
        old = self._known().get(member.name)
        if old is None or (old.ended and old.receipt.exit_code == ExitCode.CONFIG):
            return
        before, after = (one.run.assembly.state.where for one in (old, member))
        if before != after:
            raise ConfigError(
                f"{member.name} keeps its state at {before}, and from {after} it would read "
                "everything again",
                code="state_moved",
                where=member.file.document.where("state"),
                hint="stop the run, take the state along with `ktrans state export` and `import`, "
                "and start anew",
            )

    # -- loading ------------------------------------------------------------------------------

    def _load(self) -> tuple[Loaded, int]:
        began = time.time_ns()
        seen: set[Path] = set()
        loaded = self.order.load(self.catalogue, seen)
        told_streams_apart([file.pipeline for file in loaded.files])
        for file in loaded.files:
            seen.update(tables(file.pipeline))
        self._files = seen
        return loaded, began

    def _reload_if_due(self, reload: threading.Event) -> None:
        if reload.is_set():
            reload.clear()
            self._asked = True
        if (self._asked or self.order.watch) and self._watch.due(asked=self._asked):
            self._asked = False
            self._reload()

    def _known(self) -> dict[str, Member]:
        """Give the pipelines of the configuration as it is, by name."""
        known = {**self.members, **self._pending}
        return {name: member for name, member in known.items() if not member.removed}

    def _reload(self) -> None:
        try:
            self._reload_or_raise()
        except Exception as error:  # noqa: BLE001 - whatever it is, what runs goes on
            self.observer.reload_failed([as_ktrans(error)])

    def _reload_or_raise(self) -> None:
        loaded, began = self._load()
        old = self._known()
        fresh = [file for file in loaded.files if not _same(old.get(file.pipeline.name), file)]
        built = self._build(loaded, fresh)
        self._watch.loaded(self._files, began)
        if loaded.wrong and not (self.order.keep_going and loaded.files):
            for member in built:
                member.discard()
            self.observer.reload_failed(_each(loaded))
            return
        self._change(old, loaded, built)
        if loaded.wrong:
            self.observer.reload_failed(_each(loaded))

    def _change(self, old: dict[str, Member], loaded: Loaded, built: list[Member]) -> None:
        spared = {path for path, _ in loaded.wrong}
        names = {file.pipeline.name for file in loaded.files}
        removed = [m for name, m in old.items() if name not in names and m.path not in spared]
        replaced = {member.name for member in built} & old.keys()
        for member in removed:
            member.removed = True
        for member in (*removed, *(old[name] for name in replaced)):
            self._let_go(member)
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

    def _let_go(self, member: Member) -> None:
        """Tell a member to end at its edge; one that has not begun yet goes at once."""
        if self._pending.get(member.name) is member:
            del self._pending[member.name]
            member.discard()
            if not member.removed or member.name not in self.members:
                return
            member = self.members[member.name]  # it leaves without a successor now
            member.removed = True
        member.cancellation.edge.set()
        if member.ended and member.removed:
            self.observer.left(member.name)
        elif not member.ended and member not in self._leaving:
            self._leaving.append(member)


def _same(member: Member | None, file: LoadedFile) -> bool:
    return member is not None and member.well and member.fingerprint == fingerprint(file.pipeline)


def _each(loaded: Loaded) -> list[KtransError]:
    return [one for _, error in loaded.wrong for one in told_apart(error)]
