"""What one process is asked to run, and the members of the fleet that run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ktrans.api import ConfigError, ExitCode
from ktrans.config.draft import LoadedFile, LoadOptions
from ktrans.config.load import Loaded, load_all
from ktrans.engine.byte_budget import ByteBudget, budget_of
from ktrans.engine.cores import usable_cores
from ktrans.engine.examine import examine
from ktrans.engine.failures import to_ktrans_error
from ktrans.engine.fleet.allocation import allocate_workers
from ktrans.engine.fleet.member import Member
from ktrans.engine.fleet.observer import FleetObserver
from ktrans.engine.run_context import RunOptions

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline
    from ktrans.registry.catalogue import Catalogue


class FleetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The pipelines to run, and the options that the command line sets.

    Attributes:
        paths: files and folders.
        names: run only the pipelines with these names; all by default.
        profile: the profile to apply.
        once: whether to stop when everything is read; None leaves it to each source.
        run: the options of each run. `workers` is for all pipelines together, and `start` only for
            the first run of the process.
        keep_going: run the valid pipelines even if others are invalid.
        watch: reload when a file has changed, without a signal.
        budget: the bytes of blocks that the pipelines share; raised to what their cores need.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...] = ()
    profile: str | None = None
    once: bool | None = None
    run: RunOptions = msgspec.field(default_factory=RunOptions)
    keep_going: bool = False
    watch: bool = False
    budget: ByteBudget = msgspec.field(default_factory=lambda: ByteBudget(0))

    def load(self, catalogue: Catalogue, seen: set[Path]) -> Loaded:
        """Load all pipelines, and add the files that were read to `seen`.

        Raises:
            UsageError: there is no pipeline with one of the names.
        """
        options = LoadOptions(profile=self.profile, seen=seen, examine=examine)
        return load_all(self.paths, catalogue, options, self.names)

    def follows(self, pipeline: Pipeline, catalogue: Catalogue) -> bool:
        """Return whether a pipeline stays and waits for new input."""
        once = self.once
        return not (catalogue.spec("source", pipeline.source.type).finite if once is None else once)


def build_members(
    loaded: Loaded,
    files: Sequence[LoadedFile],
    request: FleetRequest,
    catalogue: Catalogue,
    observer: FleetObserver,
    previous: Mapping[str, Member] | None,
) -> list[Member]:
    """Build the members of some of the loaded files; errors are added to `loaded.wrong`.

    `previous` has the members of the configuration before, by name; it is None at the start.
    """
    cores = usable_cores()
    pipelines = [file.pipeline for file in loaded.files]
    workers = allocate_workers(pipelines, cores, request.run.workers)
    busy = min(cores, sum(workers.values()))
    built: list[Member] = []
    for file in files:
        pipeline = file.pipeline
        options = msgspec.structs.replace(
            request.run,
            follow=request.follows(pipeline, catalogue),
            workers=workers[pipeline.name],
            budget=request.budget,
            start=request.run.start if previous is None else None,
        )
        most = max(busy, workers[pipeline.name])
        request.budget.allow(budget_of(most, pipeline.limits.block_size))
        member = None
        try:
            member = Member(file, catalogue, options, observer.observer(pipeline))
            _check_state_unchanged((previous or {}).get(pipeline.name), member)
            built.append(member)
        except Exception as error:  # noqa: BLE001 - a defect in one does not stop the others
            loaded.wrong.append((pipeline.path, to_ktrans_error(error)))
            if member is not None:
                member.discard()
    return built


def _check_state_unchanged(old: Member | None, member: Member) -> None:
    """Check that a reload does not move the state, so that all rows would be written again."""
    if old is None or (old.ended and old.receipt.exit_code == ExitCode.CONFIG):
        return
    before, after = (one.run.assembly.state.where for one in (old, member))
    if before != after:
        raise ConfigError(
            f"{member.name} keeps its state at {before}, and with {after} it would read "
            "everything again",
            code="state_moved",
            where=member.file.document.where("state"),
            hint="stop the run, move the state with `ktrans state export` and `import`, and start "
            "again",
        )
