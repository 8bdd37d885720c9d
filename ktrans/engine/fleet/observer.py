"""Who is told what happens to the pipelines of a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ktrans.engine.observer import Observer

if TYPE_CHECKING:
    from ktrans.api import KtransError
    from ktrans.config.model import Pipeline
    from ktrans.engine.fleet.member import Member


@dataclass(frozen=True, slots=True)
class ReloadChange:
    """What a reload does, by the names of pipelines.

    `generation` counts the configurations that were taken, the first one included.
    """

    generation: int
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


class FleetObserver:
    """Calls that a fleet makes, all in its own thread; each does nothing unless overridden."""

    def observer(self, pipeline: Pipeline) -> Observer:
        """Give the observer of a run that is about to be built."""
        del pipeline
        return Observer()

    def starting(self, member: Member) -> None:
        """A pipeline is about to run."""

    def ended(self, member: Member) -> None:
        """A pipeline's run is over, well or not."""

    def left(self, name: str) -> None:
        """A pipeline is gone: the configuration has it no longer."""

    def reloaded(self, change: ReloadChange) -> None:
        """A new configuration was taken; what it changes happens at each pipeline's edge."""

    def reload_failed(self, errors: list[KtransError]) -> None:
        """A new configuration is wrong, and the old one goes on."""
