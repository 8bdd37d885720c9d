"""Merges included files and a profile into one pipeline; each value keeps its place.

Merging happens before references are filled in. Mappings are merged key by key, and the including
file wins; lists, scalars, and components of another `type` are replaced.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ktrans.api import ConfigError, ConfigErrors
from ktrans.config.yaml_document import Document, Path_, Place
from ktrans.config.yaml_read import only, read_documents
from ktrans.registry.suggest import near
from ktrans.registry.wording import say

INCLUDE, PROFILES, DEFAULT_PROFILE = "include", "profiles", "default_profile"
LISTS = ("enrichers", "sinks")
"""The sections whose items may be an `include` of a list of items."""

MAX_INCLUDES = 200


class Node(msgspec.Struct):
    """A value and its place; dicts and lists hold nodes."""

    value: Any
    place: Place | None

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


class MergedDocument(msgspec.Struct, frozen=True):
    """A pipeline merged from several files.

    The places of the document may be in several files. `default` is the profile that is used if
    none is chosen, `profile` the one that was used.
    """

    document: Document
    profiles: tuple[str, ...] = ()
    default: str | None = None
    profile: str | None = None


def merge_document(
    document: Document, *, profile: str | None = None, seen: set[Path] | None = None
) -> MergedDocument:
    """Merge the includes of a document, and apply a profile.

    The profile is ignored if the pipeline has no `profiles`. The paths of all included files
    are added to `seen`, also on errors.

    Raises:
        ConfigError, ConfigErrors: a file is missing or has the wrong structure, files include each
            other in a circle, or the profile does not exist.
    """
    if not isinstance(document.tree, dict):
        return MergedDocument(document)
    path = Path(document.text.file)
    reader = _Reader(document, set() if seen is None else seen)
    root = reader.filled(_nodes(document), path, (_real(path),))
    profiles = root.value.pop(PROFILES, None)
    default = root.value.pop(DEFAULT_PROFILE, None)
    found = reader.profiles(profiles)
    chosen = profile if profile is not None else (default.value if default else None)
    if chosen is not None and (found or profile is None):
        if not isinstance(chosen, str) or chosen not in found:
            raise _unknown_profile(chosen, list(found), reader.where(default or profiles))
        root = _over(root, found[chosen])
    merged = Document(document.text)
    merged.tree = root.plain()
    _note_places(root, (), merged.places)
    name = default.value if default else None
    return MergedDocument(merged, tuple(found), name, chosen if found else None)


@dataclass(slots=True)
class _Reader:
    root: Document
    seen: set[Path]
    count: int = field(default=0)

    def filled(self, node: Node, path: Path, chain: tuple[str, ...]) -> Node:
        """Merge the includes of a mapping of sections in the file `path`."""
        base = Node({}, node.place)
        for item in self._paths(node.value.pop(INCLUDE, None)):
            base = _over(base, self._sections(item, path, chain))
        for section in LISTS:
            items = node.value.get(section)
            if items is not None and isinstance(items.value, list):
                items.value = self._spliced(items.value, path, chain)
        profiles = node.value.get(PROFILES)
        if profiles is not None and isinstance(profiles.value, dict):
            for name, overlay in profiles.value.items():
                if isinstance(overlay.value, dict):
                    profiles.value[name] = self.filled(overlay, path, chain)
        return _over(base, node)

    def profiles(self, node: Node | None) -> dict[str, Node]:
        """Return the profiles by name.

        Raises:
            ConfigErrors: some are not mappings, or have profiles themselves.
        """
        if node is None or node.value is None:
            return {}
        if not isinstance(node.value, dict):
            raise self._wrong(node, f"`{PROFILES}` must be a mapping, not {say(node.plain())}")
        errors: list[ConfigError] = []
        for name, overlay in node.value.items():
            if overlay.value is None:
                overlay.value = {}
            if not name:
                errors.append(self._wrong(overlay, "a profile needs a name"))
            elif not isinstance(overlay.value, dict):
                told = f"the profile `{name}` must be a mapping, not {say(overlay.plain())}"
                errors.append(self._wrong(overlay, told))
            elif inner := {PROFILES, DEFAULT_PROFILE} & overlay.value.keys():
                told = f"a profile cannot have `{min(inner)}`"
                errors.append(self._wrong(overlay.value[min(inner)], told))
        if errors:
            raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
        found: dict[str, Node] = node.value
        return found

    def where(self, node: Node | None) -> Any:
        """Return the place of a node, or of the pipeline if the node has none."""
        if node is None or node.place is None:
            return self.root.where()
        line, column, width = node.place.value
        return node.place.text.at(line, column, width)

    # -- files --------------------------------------------------------------------------------

    def _paths(self, node: Node | None) -> list[Node]:
        """Return the paths of an `include`: one, or a list."""
        if node is None:
            return []
        items = node.value if isinstance(node.value, list) else [node]
        for item in items:
            if not isinstance(item.value, str) or not item.value or "\0" in item.value:
                told = f"`{INCLUDE}` takes a path or a list of paths, not {say(item.plain())}"
                raise self._wrong(item, told)
            if "${" in item.value:
                raise self._wrong(
                    item,
                    f"`{INCLUDE}` takes a path without references: they are filled in later",
                    hint="use `profiles` for differences between environments",
                )
        return items

    def _sections(self, item: Node, path: Path, chain: tuple[str, ...]) -> Node:
        file, document = self._read(item, path, chain)
        if not isinstance(document.tree, dict):
            raise ConfigError(
                f"the file holds {say(document.tree)} instead of sections of a pipeline",
                code="wrong_type",
                where=document.where(),
                hint="a list of enrichers or sinks is included as an item of that list: "
                f"`- {INCLUDE}: {item.value}`",
            )
        return self.filled(_nodes(document), file, (*chain, _real(file)))

    def _spliced(self, items: list[Node], path: Path, chain: tuple[str, ...]) -> list[Node]:
        result: list[Node] = []
        for item in items:
            if not isinstance(item.value, dict) or INCLUDE not in item.value:
                result.append(item)
                continue
            others = [key for key in item.value if key != INCLUDE]
            if others:
                told = f"`{others[0]}` is not allowed beside `{INCLUDE}`"
                raise self._wrong(item.value[others[0]], told)
            for named in self._paths(item.value[INCLUDE]):
                file, document = self._read(named, path, chain)
                if not isinstance(document.tree, list):
                    raise ConfigError(
                        f"the file holds {say(document.tree)} instead of a list of items",
                        code="wrong_type",
                        where=document.where(),
                        hint="begin each item with `- `",
                    )
                nodes: list[Node] = _nodes(document).value
                result += self._spliced(nodes, file, (*chain, _real(file)))
        return result

    def _read(self, item: Node, path: Path, chain: tuple[str, ...]) -> tuple[Path, Document]:
        file = Path(os.path.normpath(path.parent / os.path.expanduser(item.value)))  # noqa: PTH111
        self.seen.add(file)
        self.count += 1
        where = self.where(item)
        if _real(file) in chain:
            told = "includes itself" if _real(file) == chain[-1] else "includes itself indirectly"
            raise ConfigError(
                f"{file} {told}",
                code="include_circle",
                where=where,
            )
        if self.count > MAX_INCLUDES:
            raise ConfigError(
                f"more than {MAX_INCLUDES} files are included", code="include_limit", where=where
            )
        # Those of pathlib raise for names that are too long.
        if not os.path.isfile(file):  # noqa: PTH113
            what = "is a folder" if os.path.isdir(file) else "does not exist"  # noqa: PTH112
            raise ConfigError(
                f"the file to include {what}: {file}",
                code="include_not_found",
                where=where,
                hint="a path is relative to the file that has the `include`",
            )
        secrets = self.root.text.secrets
        return file, only(read_documents(file, secrets=secrets, included=str(where)))

    def _wrong(self, node: Node, message: str, hint: str | None = None) -> ConfigError:
        return ConfigError(message, code="wrong_type", where=self.where(node), hint=hint)


def _nodes(document: Document) -> Node:
    def node(value: Any, path: Path_) -> Node:
        place = document.places.get(path)
        if isinstance(value, dict):
            return Node({key: node(item, (*path, key)) for key, item in value.items()}, place)
        if isinstance(value, list):
            return Node([node(item, (*path, at)) for at, item in enumerate(value)], place)
        return Node(value, place)

    return node(document.tree, ())


def _over(base: Node, top: Node) -> Node:
    """Merge two values; the second one wins."""
    if not isinstance(base.value, dict) or not isinstance(top.value, dict):
        return top
    one, other = base.value.get("type"), top.value.get("type")
    if one is not None and other is not None and one.value != other.value:
        return top
    result = dict(base.value)
    for key, node in top.value.items():
        result[key] = _over(result[key], node) if key in result else node
    return Node(result, top.place)


def _note_places(node: Node, path: Path_, places: dict[Path_, Place]) -> None:
    if node.place is not None:
        places[path] = node.place
    if isinstance(node.value, dict):
        for key, item in node.value.items():
            _note_places(item, (*path, key), places)
    elif isinstance(node.value, list):
        for at, item in enumerate(node.value):
            _note_places(item, (*path, at), places)


def _unknown_profile(name: Any, known: list[str], where: Any) -> ConfigError:
    meant = near(str(name), known)
    hint = f"did you mean `{meant}`? " if meant else ""
    return ConfigError(
        f"there is no profile {say(name)}",
        code="unknown_profile",
        where=where,
        hint=f"{hint}the profiles are: {', '.join(known) or 'none'}",
    )


def _real(path: Path) -> str:
    return os.path.realpath(path)
