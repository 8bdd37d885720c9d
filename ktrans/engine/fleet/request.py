"""What one process is asked to run: files, pipelines, a profile, and the options of the runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ktrans.config.draft import LoadOptions
from ktrans.config.load import Loaded, load_all
from ktrans.engine.run_context import RunOptions

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline
    from ktrans.registry.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRequest:
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
    """

    paths: tuple[str, ...]
    names: tuple[str, ...] = ()
    profile: str | None = None
    once: bool | None = None
    run: RunOptions = field(default_factory=RunOptions)
    keep_going: bool = False
    watch: bool = False

    def load(self, catalogue: Catalogue, seen: set[Path]) -> Loaded:
        """Load all pipelines, and add the files that were read to `seen`.

        Raises:
            UsageError: there is no pipeline with one of the names.
        """
        return load_all(
            self.paths, catalogue, LoadOptions(profile=self.profile, seen=seen), self.names
        )

    def follows(self, pipeline: Pipeline, catalogue: Catalogue) -> bool:
        """Return whether a pipeline stays and waits for new input."""
        once = self.once
        return not (catalogue.spec("source", pipeline.source.type).finite if once is None else once)
