"""Pipeline files: which pipelines they hold, and each of them validated.

A file holds one pipeline or, with `---` between them, several.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ktrans.api import ConfigError, ConfigErrors, KtransError, UsageError, Where
from ktrans.config.draft import Draft, LoadedFile, Wanted, drafts_of
from ktrans.config.find_files import pipeline_files
from ktrans.config.yaml_document import Document
from ktrans.registry.suggest import near

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline
    from ktrans.registry.catalogue import Catalogue


@dataclass(slots=True)
class Loaded:
    """What came of several files: pipelines with names of their own, and what is wrong."""

    files: list[LoadedFile] = field(default_factory=list)
    wrong: list[tuple[Path, KtransError]] = field(default_factory=list)

    def error(self) -> KtransError | None:
        """Give all that is wrong as one error; None if nothing is."""
        errors: list[ConfigError] = []
        for _, error in self.wrong:
            errors += told_apart(error)
        if len(self.wrong) == 1:
            return self.wrong[0][1]
        return ConfigErrors(errors) if errors else None


def told_apart(error: KtransError) -> list[ConfigError]:
    """Give each of several errors; one of another kind as a ConfigError."""
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
) -> Pipeline:
    """Read, interpolate and validate a pipeline file.

    Args:
        path: the file.
        catalogue: the components that there are; only those named in the file are imported.
        environ: for `${env:...}`; the process's own by default.
        profile: the profile to take.
        name: which pipeline, if the file holds several.

    Raises:
        ConfigError: one thing is wrong; `where` says where.
        ConfigErrors: several things are.
        UsageError: the file holds several pipelines, or none of that name.
    """
    return load_file(path, catalogue, environ=environ, profile=profile, name=name).pipeline


def load_file(
    path: str | Path,
    catalogue: Catalogue,
    *,
    environ: Mapping[str, str] | None = None,
    profile: str | None = None,
    name: str | None = None,
) -> LoadedFile:
    """Do what `load_pipeline` does, and keep the file's tree too; same errors."""
    wanted = Wanted(os.environ if environ is None else environ, profile)
    drafts = drafts_of(Path(path), wanted)
    if name is None and len(drafts) == 1:
        return drafts[0].load(wanted, catalogue)
    names = [draft.name(wanted, catalogue) for draft in drafts]
    if name is None:
        raise UsageError(
            f"{path} holds {len(drafts)} pipelines",
            code="several_pipelines",
            hint=f"choose one with --pipeline: {_listed(names)}",
        )
    if name not in names:
        raise _unknown_pipelines([name], names)
    return drafts[names.index(name)].load(wanted, catalogue)


def load_all(
    paths: Sequence[str | Path],
    catalogue: Catalogue,
    wanted: Wanted | None = None,
    names: Sequence[str] = (),
) -> Loaded:
    """Load all pipelines of some files and folders; what is wrong with one stops no other.

    Args:
        paths: files and folders.
        catalogue: the components that there are.
        wanted: profile and environment.
        names: only the pipelines of these names; all by default.

    Raises:
        UsageError: there is no pipeline of one of the names.
    """
    wanted = Wanted() if wanted is None else wanted
    loaded = Loaded()
    known: list[str | None] = []
    taken: dict[tuple[str | None, str], Where] = {}
    for draft in all_drafts(paths, wanted, loaded):
        if names:
            known.append(draft.name(wanted, catalogue))
            if known[-1] not in names:
                continue
        try:
            file = draft.load(wanted, catalogue)
            take_name(taken, None, file.pipeline.name, file.document)
        except KtransError as error:
            loaded.wrong.append((draft.path, error))
            continue
        loaded.files.append(file)
    if missing := [name for name in names if name not in known]:
        raise _unknown_pipelines(missing, known)
    return loaded


def all_drafts(paths: Sequence[str | Path], wanted: Wanted, loaded: Loaded) -> Iterator[Draft]:
    """Read all files; what cannot be read is added to `loaded.wrong`."""
    for path in paths:
        try:
            files = [*pipeline_files([path])]
        except (KtransError, OSError) as error:
            loaded.wrong.append((Path(path), _readable(error, path)))
            continue
        for file in files:
            try:
                yield from drafts_of(file, wanted)
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
    """Take a name, which no other pipeline may have.

    Args:
        taken: the names there are under each profile, and where; the new one is added.
        profile: the profile.
        name: the pipeline's name.
        document: the pipeline as written.

    Raises:
        ConfigError: it is taken.
    """
    where = document.where("name")
    if (profile, name) in taken:
        raise ConfigError(
            f"two pipelines that belong together are named `{name}`; the other one is at "
            f"{taken[profile, name]}",
            code="duplicate_name",
            where=where,
            hint="what is run together needs a `name` of its own each",
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
    return ", ".join(name for name in names if name) or "none that can be told by name"
