"""Fingerprints of pipelines and of the files that they use, to find out what a reload changes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktrans import expressions
from ktrans.registry.values import leaves

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline

LONGEST_PATH = 4096
_FILE = re.compile(r"(?i)\bfile\s*\(")


def referenced_files(pipeline: Pipeline) -> Iterator[Path]:
    """Yield the files that decoder, enrichers and expressions name, and the folders of tables."""
    configs = (pipeline.decoder, *pipeline.enrichers)
    folders = {text for config in configs for text in config.folders()}
    texts = [
        str(leaf)
        for config in configs
        for leaf in leaves(config.model_dump(mode="python"))
        if isinstance(leaf, str | Path)
    ]
    texts += [entry.where for entry in pipeline.sinks if entry.where]
    texts += [rule.where for rule in pipeline.expect]
    for text in texts:
        for name in (text, *_lists_in(text)):
            if not 0 < len(name) < LONGEST_PATH:
                continue
            try:
                path = pipeline.base_dir / Path(name).expanduser()
                if path.is_file() or (name in folders and path.is_dir()):
                    yield path
            except (OSError, ValueError, RuntimeError):  # a text that is not a path
                continue


def _lists_in(text: str) -> Iterable[str]:
    """Return the files of lists that a text names, if it is an expression."""
    if not _FILE.search(text):
        return ()
    try:
        return sorted(expressions.files_of(text))
    except expressions.ExpressionError:
        return ()


def pipeline_fingerprint(pipeline: Pipeline) -> tuple[Any, ...]:
    """Return everything that a run of the pipeline depends on, to compare two loads of it."""
    return pipeline, tuple((path, file_digest(path)) for path in referenced_files(pipeline))


def file_digest(path: Path) -> str | None:
    """Hash a file's content, or the names and sizes of a folder's files.

    None if it cannot be read, or is a pipe, which can be read only once.
    """
    try:
        if path.is_dir():
            files = sorted((one.name, one.stat().st_size) for one in path.iterdir())
            return hashlib.sha256(repr(files).encode()).hexdigest()
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
