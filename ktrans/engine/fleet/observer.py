"""The calls that a fleet makes to report what happens to its pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ktrans.engine.observer import Observer

if TYPE_CHECKING:
    from ktrans.api import KtransError
    from ktrans.config.model import Pipeline
    from ktrans.engine.fleet.member import Member


class ReloadChange(msgspec.Struct, frozen=True):
    """The names of the pipelines that a reload starts, changes, removes or leaves unchanged.

    `generation` counts the configurations that were applied, including the first one.
    """

    generation: int
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


class FleetObserver:
    """The calls of a fleet, all from its own thread; each does nothing unless overridden."""

    def observer(self, pipeline: Pipeline) -> Observer:
        """Return the observer of a run that is about to be built."""
        del pipeline
        return Observer()

    def starting(self, member: Member) -> None:
        """A pipeline is about to run."""

    def ended(self, member: Member) -> None:
        """A pipeline's run has succeeded or failed."""

    def removed(self, name: str) -> None:
        """A pipeline has ended that the configuration no longer has."""

    def reloaded(self, change: ReloadChange) -> None:
        """A new configuration was applied; each pipeline changes when its current epoch is over."""

    def reload_failed(self, errors: list[KtransError]) -> None:
        """A new configuration is invalid; the previous one stays in use."""
