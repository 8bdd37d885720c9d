"""Finds the pipeline files of a folder.

These are its `*.yaml` and `*.yml` files, sorted by name, except those that begin with `_` or `.`, and
files of tests (`*.tests.yaml`). Subfolders are not searched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ktrans.api import ConfigError, Where

SWAPPED = "..data"
"""The link by which Kubernetes replaces all files of a mounted ConfigMap or Secret at once."""

SUFFIXES = (".yaml", ".yml")
TESTS = (".tests.yaml", ".tests.yml")


def pipeline_files(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Yield the pipeline files of paths, each once.

    Raises:
        ConfigError: a folder has no pipeline.
    """
    given: set[str] = set()
    for path in map(Path, paths):
        found = [path]
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if is_pipeline(file))
            if not found:
                raise ConfigError(
                    "there is no pipeline in this folder",
                    code="no_pipelines",
                    where=Where(str(path)),
                    hint="pipelines are its *.yaml and *.yml files that do not begin with `_` or "
                    "`.`; subfolders are not searched",
                )
        for file in found:
            if (real := os.path.realpath(file)) not in given:
                given.add(real)
                yield file


def folder_of(path: Path) -> Path:
    """Return the folder to which the paths of a pipeline are relative: the folder of its file.

    Links are followed, but not into the folder of a ConfigMap, whose name changes with each update.
    """
    path = path.absolute()
    seen = {path}
    while path.is_symlink():
        target = path.parent / path.readlink()
        if SWAPPED in target.parts or target in seen:
            break
        seen.add(target)
        path = target
    return path.parent.resolve()


def is_pipeline(path: Path) -> bool:
    """Return whether a file of a folder is a pipeline, by its name."""
    name = path.name
    named = name.endswith(SUFFIXES) and name[0] not in "_." and not name.endswith(TESTS)
    return named and not path.is_fifo()  # reading it could block forever
