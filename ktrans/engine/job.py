"""Jobs: tasks as JSON, for workers that build the components of the pipeline by themselves.

A job has the pipeline file as it was before references were filled in, so a worker resolves secrets by
itself. It also says what the worker has to be equal in: versions, options, and the files of tables.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from ktrans import __version__
from ktrans.api import RunError, Split
from ktrans.api.spec import Kind
from ktrans.config.load import load_text
from ktrans.config.model import Pipeline
from ktrans.engine.fleet.fingerprint import file_digest, referenced_files
from ktrans.registry.catalogue import Catalogue
from ktrans.state.epochs import Quarantine

_STAYS = ("state", "tests")
"""Sections that only the driver needs, with their secrets."""


class WorkerDiffersError(RunError):
    """A worker would not make the same rows and files as the process that runs the pipeline."""

    default_code = "worker_differs"


@dataclass(frozen=True, slots=True)
class Definition:
    """A pipeline as a worker builds it.

    Attributes:
        name: the pipeline's name.
        path: its file, for messages; it need not exist where the worker is.
        folder: the folder of relative paths.
        text: the pipeline file as JSON, merged, before references are filled in.
        alike: what has to be the same for a worker: versions of distributions, hashes of the options
            and of the content of files that they name.
    """

    name: str
    path: str
    folder: str
    text: str
    alike: dict[str, str | None]

    @classmethod
    def of(cls, pipeline: Pipeline, catalogue: Catalogue) -> Definition:
        """Describe a pipeline of this process."""
        tree = {key: value for key, value in json.loads(pipeline.text).items() if key not in _STAYS}
        if isinstance(tree.get("engine"), dict):
            tree["engine"] = {k: v for k, v in tree["engine"].items() if k != "executor"}
        return cls(
            pipeline.name,
            str(pipeline.path.absolute()),
            str(pipeline.base_dir),
            json.dumps({**tree, "name": pipeline.name}),
            dict(_alike(pipeline, catalogue)),
        )

    def load(self, catalogue: Catalogue) -> Pipeline:
        """Validate the pipeline in a worker, and compare.

        Raises:
            ConfigError, ConfigErrors: it is not valid here, such as for lack of a variable.
            WorkerDiffersError: something is not the same as in the process that runs it.
        """
        pipeline = load_text(self.text, Path(self.path), Path(self.folder), catalogue)
        here = dict(_alike(pipeline, catalogue))
        different = [
            f"{what}: {here.get(what) or 'missing'} instead of {self.alike.get(what) or 'missing'}"
            for what in {**self.alike, **here}
            if here.get(what) != self.alike.get(what)
        ]
        if different:
            raise WorkerDiffersError(
                "a worker differs from the process that runs the pipeline, so its rows could too: "
                + "; ".join(different),
                hint="give all workers the same versions, environment variables and files; a run "
                "with --follow reads a file that has changed after SIGHUP, or with --watch",
            )
        return pipeline


@dataclass(frozen=True, slots=True)
class EpochPart:
    """What a task has to know of its epoch.

    `merges` says that it makes a partial result, and `facts` what it has to know for that.
    """

    number: int
    history: str
    planned: dt.datetime
    decided: bool
    merges: bool = False
    facts: Any = None


@dataclass(frozen=True, slots=True)
class Job:
    """A task for a worker.

    Attributes:
        definition: the pipeline.
        run_id: the run, for the log.
        epoch: the epoch.
        task: the number of the task in it.
        splits: what it reads.
        quarantined: splits of it that are not read.
        threads: how many threads decode.
        memory: how many bytes of blocks may wait between its reader and its writers.
        prepare: what to call in a new process, see `RunOptions.prepare_worker`.
    """

    definition: Definition
    run_id: str
    epoch: EpochPart
    task: int
    splits: list[Split]
    quarantined: list[Quarantine]
    threads: int
    memory: int
    prepare: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        """Rebuild a job from `to_json`."""
        return msgspec.convert(value, cls)


def _alike(pipeline: Pipeline, catalogue: Catalogue) -> Iterator[tuple[str, str | None]]:
    yield "ktrans", __version__
    yield "pyarrow", pa.__version__
    parts: list[tuple[Kind, Any]] = [
        ("source", pipeline.source),
        ("decoder", pipeline.decoder),
        *(("enricher", config) for config in pipeline.enrichers),
        *(("sink", entry.config) for entry in pipeline.sinks),
        ("sink", pipeline.rejects.config),
        *(("sink", entry.config) for entry in (pipeline.violations,) if entry),
    ]
    options = hashlib.sha256()
    for kind, config in parts:
        plugin = catalogue.origin(kind, config.type)
        yield plugin.distribution or plugin.name, plugin.version
        options.update(config.model_dump_json().encode())  # secrets are masked
    yield "options after references are filled in", options.hexdigest()[:12]
    for path in dict.fromkeys(referenced_files(pipeline)):
        yield str(path), (file_digest(path) or "")[:12] or None
