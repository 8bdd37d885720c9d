"""Which files of a folder are pipelines.

Its `*.yaml` and `*.yml` files, in the order of their names, but those that begin with `_` or `.` and
those of tests (`*.tests.yaml`); folders inside it are not looked into.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ktrans.api import ConfigError, Where

SWAPPED = "..data"
"""The link by which Kubernetes swaps all files of a mounted ConfigMap or Secret at once."""

SUFFIXES = (".yaml", ".yml")
TESTS = (".tests.yaml", ".tests.yml")


def pipeline_files(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Give the files that paths stand for, each once.

    Raises:
        ConfigError: a folder has no pipeline in it.
    """
    given: set[str] = set()
    for path in map(Path, paths):
        found = [path]
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if _is_pipeline(file))
            if not found:
                raise ConfigError(
                    "there is no pipeline in this folder",
                    code="no_pipelines",
                    where=Where(str(path)),
                    hint="pipelines are its *.yaml and *.yml files that do not begin with `_` or "
                    "`.`; folders inside it are not looked into",
                )
        for file in found:
            if (real := os.path.realpath(file)) not in given:
                given.add(real)
                yield file


def folder_of(path: Path) -> Path:
    """Give the folder that a pipeline's paths are relative to: that of its file.

    Links are followed, but not into the folder of a ConfigMap: that has another name after each
    change, and the old one is gone.
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


def _is_pipeline(path: Path) -> bool:
    name = path.name
    named = name.endswith(SUFFIXES) and name[0] not in "_." and not name.endswith(TESTS)
    return named and not path.is_fifo()  # to read that could take forever
