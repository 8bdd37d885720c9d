"""The documents of a pipeline file, each to become a pipeline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktrans.api import KtransError
from ktrans.config.find_files import folder_of
from ktrans.config.include import Whole, whole
from ktrans.config.interpolate import Interpolator
from ktrans.config.validate import Loader, name_of_file
from ktrans.config.yaml_document import Document
from ktrans.config.yaml_read import read_documents

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline
    from ktrans.registry.catalogue import Catalogue

PROFILE_VARIABLE = "KTRANS_PROFILE"


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A pipeline with what it was made from.

    Attributes:
        pipeline: the validated pipeline.
        document: the file as written, with what it includes.
        tree: the file's data after interpolation.
        profile: the profile that was taken.
    """

    pipeline: Pipeline
    document: Document
    tree: dict[str, Any]
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for beyond the files themselves.

    Attributes:
        environ: for `${env:...}` and KTRANS_PROFILE.
        profile: the profile; None leaves it to KTRANS_PROFILE and to the file.
        seen: the files that are read are added to it, also if something is wrong with them.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    profile: str | None = None
    seen: set[Path] = field(default_factory=set)

    @property
    def chosen(self) -> str | None:
        """The profile that was asked for, if any."""
        return self.profile or self.environ.get(PROFILE_VARIABLE) or None


@dataclass(frozen=True, slots=True)
class Draft:
    """One document of a file, to become a pipeline.

    `several` is whether the file has others.
    """

    path: Path
    document: Document
    several: bool = False

    def whole(self, wanted: Wanted) -> Whole:
        """Fill in what it includes, and the profile that is wanted."""
        return whole(self.document, profile=wanted.chosen, seen=wanted.seen)

    def variants(self, wanted: Wanted) -> list[Wanted]:
        """Give what may be wanted of it: as it stands, unless it has a default, and each profile.

        Only one if a profile is chosen.
        """
        if wanted.chosen is not None:
            return [wanted]
        try:
            found = self.whole(wanted)
        except KtransError:
            return [wanted]
        plain = [] if found.default is not None else [wanted]
        return plain + [replace(wanted, profile=name) for name in found.profiles]

    def name(self, wanted: Wanted, catalogue: Catalogue) -> str | None:
        """Give the pipeline's name, if it can be told."""
        try:
            tree = self.whole(wanted).document.tree
        except KtransError:
            return None
        if not isinstance(tree, dict) or tree.get("name") is None:
            return name_of_file(self.path)
        folder = folder_of(self.path)
        return str(
            Interpolator(wanted.environ, folder, catalogue.resolve_secret).fill(tree["name"])
        )

    def load(self, wanted: Wanted, catalogue: Catalogue) -> LoadedFile:
        """Validate it.

        Raises:
            ConfigError, ConfigErrors: what is wrong with it.
        """
        found = self.whole(wanted)
        loader = Loader(
            found.document, catalogue, self.path, wanted.environ, nameless=not self.several
        )
        try:
            pipeline = loader.load()
        finally:
            wanted.seen.update(loader.files)
        return LoadedFile(pipeline, found.document, loader.tree, found.profile)


def drafts_of(path: Path, wanted: Wanted) -> list[Draft]:
    """Read a file: one draft for each of its documents.

    Raises:
        ConfigError, ConfigErrors: it cannot be read.
    """
    wanted.seen.add(path)
    documents = read_documents(path)
    return [Draft(path, document, len(documents) > 1) for document in documents]
