"""What one process is asked to run: files, names, a profile, and how."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktrans.config.draft import Wanted
from ktrans.config.load import Loaded, load_all
from ktrans.engine.run_options import RunOptions
from ktrans.registry.values import leaves

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline
    from ktrans.registry.catalogue import Catalogue

LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The command line's share.

    Attributes:
        paths: files and folders.
        names: only the pipelines of these names; all by default.
        profile: the profile to take.
        once: whether to stop when all is read; None leaves it to each source.
        run: the options of each run. `workers` is for all pipelines together, `start` for the first
            run of a process only.
        keep_going: run what is right, whatever else is wrong.
        watch: load again when a file has changed, without being asked.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...] = ()
    profile: str | None = None
    once: bool | None = None
    run: RunOptions = field(default_factory=RunOptions)
    keep_going: bool = False
    watch: bool = False

    def load(self, catalogue: Catalogue, seen: set[Path]) -> Loaded:
        """Load everything; the files that were read are added to `seen`.

        Raises:
            UsageError: there is no pipeline of one of the names.
        """
        return load_all(self.paths, catalogue, Wanted(profile=self.profile, seen=seen), self.names)

    def follows(self, pipeline: Pipeline, catalogue: Catalogue) -> bool:
        """Tell whether a pipeline stays and waits for more."""
        once = self.once
        return not (catalogue.spec("source", pipeline.source.type).finite if once is None else once)


def tables(pipeline: Pipeline) -> Iterator[Path]:
    """Give the files that the decoder and the enrichers name: tables, rules, databases."""
    for config in (pipeline.decoder, *pipeline.enrichers):
        for leaf in leaves(config.model_dump(mode="python")):
            if not isinstance(leaf, str | Path) or not 0 < len(str(leaf)) < LONGEST_PATH:
                continue
            path = pipeline.base_dir / Path(leaf).expanduser()
            try:
                if path.is_file():
                    yield path
            except (OSError, ValueError):  # a text that is no path at all
                continue


def fingerprint(pipeline: Pipeline) -> tuple[Any, ...]:
    """Give what two loads of a pipeline are compared by: all that a run goes by."""
    return (
        pipeline.base_dir,
        pipeline.source,
        pipeline.decoder,
        pipeline.enrichers,
        pipeline.sinks,
        pipeline.rejects,
        pipeline.state,
        pipeline.limits,
        pipeline.engine,
        tuple((path, digest(path)) for path in tables(pipeline)),
    )


def digest(path: Path) -> str | None:
    """Hash a file's content; None if it cannot be read, or is a pipe, which gives it only once."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
