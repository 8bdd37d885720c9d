"""Loads pipeline files: reads, merges, interpolates and validates them.

A file holds one pipeline or, with `---` between them, several.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ktrans.api import ConfigError, ConfigErrors, KtransError, UsageError, Where
from ktrans.config.draft import Draft, Examine, LoadedFile, LoadOptions, drafts_of
from ktrans.config.find_files import pipeline_files
from ktrans.config.validate import PipelineValidator
from ktrans.config.yaml_document import Document, Text
from ktrans.registry.suggest import near

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline
    from ktrans.registry.catalogue import Catalogue


class Loaded(msgspec.Struct):
    """The pipelines of several files, and the errors of files that could not be loaded."""

    files: list[LoadedFile] = msgspec.field(default_factory=list)
    wrong: list[tuple[Path, KtransError]] = msgspec.field(default_factory=list)

    def error(self) -> KtransError | None:
        """Return all errors as one; None if there are none."""
        errors: list[ConfigError] = []
        for _, error in self.wrong:
            errors += flatten_errors(error)
        if len(self.wrong) == 1:
            return self.wrong[0][1]
        return ConfigErrors(errors) if errors else None


def flatten_errors(error: KtransError) -> list[ConfigError]:
    """Return the parts of a ConfigErrors, or the error itself as a ConfigError."""
    if isinstance(error, ConfigErrors):
        return error.errors
    if isinstance(error, ConfigError):
        return [error]
    return [ConfigError(error.message, code=error.code, hint=error.hint, where=error.where)]


def load_pipeline(
    path: str | Path,
    catalogue: Catalogue,
    *,
    environ: Mapping[str, str] | None = None,
    profile: str | None = None,
    name: str | None = None,
    examine: Examine | None = None,
) -> Pipeline:
    """Read, interpolate and validate a pipeline file.

    Only the components that the file names are imported. `name` chooses the pipeline if the
    file holds several. `examine` finds more errors in a file that has some.

    Raises:
        ConfigError: the file has an error; `where` has its place.
        ConfigErrors: the file has several errors.
        UsageError: the file holds several pipelines, or none of that name.
    """
    return load_file(
        path, catalogue, environ=environ, profile=profile, name=name, examine=examine
    ).pipeline


def load_file(
    path: str | Path,
    catalogue: Catalogue,
    *,
    environ: Mapping[str, str] | None = None,
    profile: str | None = None,
    name: str | None = None,
    examine: Examine | None = None,
) -> LoadedFile:
    """Load a pipeline with its document and data; raises as `load_pipeline` does."""
    options = LoadOptions(os.environ if environ is None else environ, profile, examine=examine)
    drafts = drafts_of(Path(path), options)
    if name is None and len(drafts) == 1:
        return drafts[0].load(options, catalogue)
    names = [draft.name(options, catalogue) for draft in drafts]
    if name is None:
        raise UsageError(
            f"{path} holds {len(drafts)} pipelines",
            code="several_pipelines",
            hint=f"choose one with --pipeline: {_listed(names)}",
        )
    if name not in names:
        raise _unknown_pipelines([name], names)
    return drafts[names.index(name)].load(options, catalogue)


def load_text(text: str, path: Path, folder: Path, catalogue: Catalogue) -> Pipeline:
    """Validate the `text` of a pipeline that another process has loaded (`Pipeline.text`).

    References are filled in from the environment and files of this process. Relative paths start at
    `folder`; the file `path` is for messages.

    Raises:
        ConfigError, ConfigErrors: it is not valid here.
    """
    document = Document(Text(str(path)), json.loads(text))
    return PipelineValidator(document, catalogue, path, os.environ, folder=folder).load()


def load_all(
    paths: Sequence[str | Path],
    catalogue: Catalogue,
    options: LoadOptions | None = None,
    names: Sequence[str] = (),
) -> Loaded:
    """Load all pipelines of files and folders; errors of one do not affect the others.

    With `names`, only the pipelines of these names are loaded.

    Raises:
        UsageError: one of the names does not exist.
    """
    options = LoadOptions() if options is None else options
    loaded = Loaded()
    known: list[str | None] = []
    taken: dict[tuple[str | None, str], Where] = {}
    for draft in all_drafts(paths, options, loaded):
        if names:
            known.append(draft.name(options, catalogue))
            if known[-1] not in names:
                continue
        try:
            file = draft.load(options, catalogue)
            take_name(taken, None, file.pipeline.name, file.document)
        except KtransError as error:
            loaded.wrong.append((draft.path, error))
            continue
        loaded.files.append(file)
    if missing := [name for name in names if name not in known]:
        raise _unknown_pipelines(missing, known)
    return loaded


def all_drafts(
    paths: Sequence[str | Path], options: LoadOptions, loaded: Loaded
) -> Iterator[Draft]:
    """Read all files; errors are added to `loaded.wrong`."""
    for path in paths:
        try:
            files = [*pipeline_files([path])]
        except (KtransError, OSError) as error:
            loaded.wrong.append((Path(path), _readable(error, path)))
            continue
        for file in files:
            try:
                yield from drafts_of(file, options)
            except KtransError as error:
                loaded.wrong.append((file, error))


def _readable(error: Exception, path: str | Path) -> KtransError:
    if isinstance(error, KtransError):
        return error
    told = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return ConfigError(told, code="config_io", where=Where(str(path)))


def take_name(
    taken: dict[tuple[str | None, str], Where], profile: str | None, name: str, document: Document
) -> None:
    """Record the name of a pipeline, which must be unique.

    `taken` has the places of the names so far, by profile and name; the new one is added.

    Raises:
        ConfigError: another pipeline has the name.
    """
    where = document.where("name")
    if (profile, name) in taken:
        raise ConfigError(
            f"two pipelines that belong together are named `{name}`; the other one is at "
            f"{taken[profile, name]}",
            code="duplicate_name",
            where=where,
            hint="pipelines that are run together need different names",
        )
    taken[profile, name] = where


def _unknown_pipelines(missing: Sequence[str], names: Sequence[str | None]) -> UsageError:
    known = [name for name in names if name]
    meant = near(missing[0], known)
    hint = f"did you mean {meant}? " if meant else ""
    return UsageError(
        f"there is no pipeline named {', '.join(missing)}",
        code="unknown_pipeline",
        hint=f"{hint}there are: {_listed(names)}",
    )


def _listed(names: Sequence[str | None]) -> str:
    return ", ".join(name for name in names if name) or "none with a known name"
