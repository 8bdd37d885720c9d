"""Builds the members of a fleet from loaded pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ktrans.api import ConfigError, ExitCode
from ktrans.engine.cores import usable_cores
from ktrans.engine.failures import to_ktrans_error
from ktrans.engine.fleet.allocation import allocate_workers
from ktrans.engine.fleet.member import Member

if TYPE_CHECKING:
    from ktrans.config.draft import LoadedFile
    from ktrans.config.load import Loaded
    from ktrans.engine.fleet.observer import FleetObserver
    from ktrans.engine.fleet.request import FleetRequest
    from ktrans.registry.catalogue import Catalogue


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
    workers = allocate_workers(
        [file.pipeline for file in loaded.files], usable_cores(), request.run.workers
    )
    built: list[Member] = []
    for file in files:
        pipeline = file.pipeline
        options = replace(
            request.run,
            follow=request.follows(pipeline, catalogue),
            workers=workers[pipeline.name],
            start=request.run.start if previous is None else None,
        )
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
