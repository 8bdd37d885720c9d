"""The documents of a pipeline file before validation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ktrans.api import ConfigError, ConfigErrors, KtransError
from ktrans.config.find_files import folder_of
from ktrans.config.include import MergedDocument, merge_document
from ktrans.config.interpolate import Interpolator
from ktrans.config.validate import PipelineValidator, name_of_file
from ktrans.config.yaml_document import Document
from ktrans.config.yaml_read import read_documents

if TYPE_CHECKING:
    from ktrans.config.model import PartialPipeline, Pipeline
    from ktrans.registry.catalogue import Catalogue

Examine = Callable[["PartialPipeline", "Catalogue"], Sequence[ConfigError]]

PROFILE_VARIABLE = "KTRANS_PROFILE"


class LoadedFile(msgspec.Struct, frozen=True):
    """A validated pipeline with its document and data.

    The document is merged with its includes; the tree has its data after interpolation.
    """

    pipeline: Pipeline
    document: Document
    tree: dict[str, Any]
    profile: str | None = None


class LoadOptions(msgspec.Struct, frozen=True):
    """The options of loading pipelines.

    Attributes:
        environ: for `${env:...}` and KTRANS_PROFILE.
        profile: the profile; None for that of KTRANS_PROFILE or the default of the file.
        examine: finds more errors in the valid parts of a pipeline that has errors.
        seen: a set to which all files that are read are added, also on errors.
    """

    environ: Mapping[str, str] = msgspec.field(default_factory=lambda: os.environ)
    profile: str | None = None
    seen: set[Path] = msgspec.field(default_factory=set)
    examine: Examine | None = None

    @property
    def chosen(self) -> str | None:
        """Return the chosen profile, if any."""
        return self.profile or self.environ.get(PROFILE_VARIABLE) or None


class Draft(msgspec.Struct, frozen=True):
    """A document of a pipeline file.

    It may be one of `several` of its file.
    """

    path: Path
    document: Document
    several: bool = False

    def merged(self, options: LoadOptions) -> MergedDocument:
        """Merge the includes, and apply the chosen profile."""
        return merge_document(self.document, profile=options.chosen, seen=options.seen)

    def variants(self, options: LoadOptions) -> list[LoadOptions]:
        """Return the options for each profile, and for none unless there is a default profile.

        Only the given options if they choose a profile.
        """
        if options.chosen is not None:
            return [options]
        try:
            found = self.merged(options)
        except KtransError:
            return [options]
        plain = [] if found.default is not None else [options]
        return plain + [msgspec.structs.replace(options, profile=name) for name in found.profiles]

    def name(self, options: LoadOptions, catalogue: Catalogue) -> str | None:
        """Return the name of the pipeline, if it is known before validation."""
        try:
            tree = self.merged(options).document.tree
        except KtransError:
            return None
        if not isinstance(tree, dict) or tree.get("name") is None:
            return name_of_file(self.path)
        folder = folder_of(self.path)
        return str(
            Interpolator(options.environ, folder, catalogue.resolve_secret).fill(tree["name"])
        )

    def load(self, options: LoadOptions, catalogue: Catalogue) -> LoadedFile:
        """Validate the document.

        Raises:
            ConfigError, ConfigErrors: its errors.
        """
        found = self.merged(options)
        loader = PipelineValidator(
            found.document, catalogue, self.path, options.environ, nameless=not self.several
        )
        try:
            pipeline = loader.load()
        except ConfigError as error:
            if options.examine is None or loader.partial is None:
                raise
            more = options.examine(loader.partial, catalogue)
            if not more:
                raise
            known = error.errors if isinstance(error, ConfigErrors) else [error]
            raise ConfigErrors(in_order([*known, *more])) from None
        finally:
            options.seen.update(loader.files)
        pipeline = replace(pipeline, profile=found.profile)
        return LoadedFile(pipeline, found.document, loader.tree, found.profile)


def in_order(errors: Iterable[ConfigError]) -> list[ConfigError]:
    """Return errors in the order of their files."""

    def place(error: ConfigError) -> tuple[str, int, int]:
        where = error.where
        return (where.file, where.line or 0, where.column or 0) if where else ("", 0, 0)

    return sorted(errors, key=place)


def drafts_of(path: Path, options: LoadOptions) -> list[Draft]:
    """Read a file; return a draft of each of its documents.

    Raises:
        ConfigError, ConfigErrors: the file cannot be read.
    """
    options.seen.add(path)
    documents = read_documents(path)
    return [Draft(path, document, len(documents) > 1) for document in documents]
