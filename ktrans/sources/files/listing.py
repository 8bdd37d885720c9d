"""Finds files by path, folder and glob; follows links, but never in circles."""
# Names are kept as the strings that scandir gives: for speed, and for bytes that are not UTF-8.
# ruff: noqa: PTH100, PTH112, PTH116

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

import msgspec

from ktrans.api import AccessError, ConfigError

UNFINISHED = (".tmp", ".part", ".inprogress")
"""Endings of names that writers use until a file is whole."""

_MAGIC = re.compile(r"[*?\[]")
_Id = tuple[int, int]
_State = tuple[str, ...]


class Found(NamedTuple):
    """A regular file as it was when the folder was listed.

    Attributes:
        path: absolute, links not resolved; bytes that are not UTF-8 as surrogates.
        size: in bytes.
        mtime_ns: time of its last change.
        inode: number of the file within its file system.
        device: number of the file system.
        linked: whether a symbolic link led here.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int
    device: int
    linked: bool = False

    @classmethod
    def of(cls, path: str, status: os.stat_result, *, linked: bool = False) -> Found:
        """Take what is needed from a stat result."""
        return cls(
            path, status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev, linked=linked
        )


class Listed(msgspec.Struct):
    """The files that were found, by path, and notes for people."""

    files: dict[str, Found] = msgspec.field(default_factory=dict)
    notes: list[str] = msgspec.field(default_factory=list)
    special: int = 0


def file_uri(path: str) -> str:
    """Return `file:///...` with every byte outside the unreserved ones percent-encoded."""
    return "file://" + quote(os.fsencode(path))


def to_key(path: str) -> str:
    """Return the path itself if it is valid Unicode, else its URI: JSON and SQL take no other."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return file_uri(path)
    return path


def from_key(key: str) -> str:
    """Undo `to_key`."""
    if key.startswith("file://"):
        return os.fsdecode(unquote_to_bytes(key.removeprefix("file://")))
    return key


def has_magic(text: str) -> bool:
    """Return whether a path is a glob."""
    return _MAGIC.search(text) is not None


def fixed_part(path: str) -> str:
    """Return a path up to its first part with a wildcard."""
    parts = path.rstrip("/").split("/")
    return "/".join(takewhile(lambda part: not has_magic(part), parts)) or "/"


def list_files(
    paths: Sequence[str], *, recursive: bool = True, exclude: Sequence[str] = ()
) -> Listed:
    """List the regular files that `paths` name.

    Args:
        paths: absolute paths of files and folders, and globs. `*`, `?` and `[...]` stay within a
            folder, `**` stands for any number of folders, a closing `/` asks for folders.
        recursive: whether a folder stands for all below it or only for its own files.
        exclude: globs; without a slash for names, with one for absolute paths.

    Raises:
        ConfigError: a path that is no glob does not exist, or is neither file nor folder.
        AccessError: a folder cannot be listed.
    """
    listed = Listed()
    skip = _excluder(exclude)
    below: _State = ("**", "*") if recursive else ("*",)
    for text in paths:
        before = len(listed.files)
        for path, status, linked in _resolve(text, below, skip):
            if stat.S_ISREG(status.st_mode):
                if path not in listed.files:
                    listed.files[path] = Found.of(path, status, linked=linked)
            else:
                listed.special += 1
        if has_magic(text) and len(listed.files) == before:
            listed.notes.append(f"nothing matches {text}")
    listed.notes += _drop_second_names(listed.files)
    if listed.special:
        listed.notes.append(f"{listed.special} pipes, sockets or devices are skipped")
    return listed


def _drop_second_names(files: dict[str, Found]) -> Iterator[str]:
    """Remove links to files that are listed under another name; the first of several links stays.

    Yields a note on each link to what another link leads to; that `current.log` leads to a file
    which is listed itself is no news.
    """
    linked = [found for found in files.values() if found.linked]
    own = {(f.device, f.inode) for f in files.values() if not f.linked}
    read: dict[_Id, str] = {}
    for found in sorted(linked, key=lambda f: f.path):
        identity = (found.device, found.inode)
        first = read.setdefault(identity, found.path)
        if identity in own or first != found.path:
            del files[found.path]
        if identity not in own and first != found.path:
            yield f"{found.path} leads to the same file as {first}, and is not read a second time"


_Hit = tuple[str, os.stat_result, bool]


def _resolve(text: str, below: _State, skip: Callable[[str], bool]) -> Iterator[_Hit]:
    status = _stat(text)
    if status is not None:
        path = os.path.abspath(text)
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(path, {below}, (), skip, linked=False)
        elif stat.S_ISREG(status.st_mode):
            if not skip(path):
                yield path, status, False
        else:
            raise ConfigError(
                f"{text} is a pipe, socket or device, not a file",
                code="not_a_file",
                hint="name a regular file or a folder; for a stream use `type: stdin`",
            )
        return
    if not has_magic(text):
        raise ConfigError(
            f"no such file or folder: {text}",
            code="path_missing",
            hint="relative paths are relative to the folder of the pipeline file",
        )
    parts = [part for part in text.split("/") if part]
    first = next(i for i, part in enumerate(parts) if has_magic(part))
    root = "/" + "/".join(parts[:first])
    state = tuple(parts[first:]) + (below if text.endswith("/") else ())
    if os.path.isdir(root):
        yield from _walk(os.path.abspath(root), {state}, (), skip, linked=False)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise AccessError(
            f"permission denied: {path}", hint="let this user read the folder that holds it"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot examine {path}: {error.strerror}", code="path_bad") from error


def _walk(
    folder: str,
    states: set[_State],
    chain: tuple[_Id, ...],
    skip: Callable[[str], bool],
    *,
    linked: bool,
) -> Iterator[_Hit]:
    """Visit a folder once for all states of the pattern."""
    try:
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in chain:
            return
        with os.scandir(folder) as entries:
            listing = sorted(entries, key=lambda entry: entry.name)
    except PermissionError as error:
        raise AccessError(
            f"permission denied: the folder {folder} cannot be listed",
            hint="give this user read and execute permission on it, or put it under `exclude`",
        ) from error
    except (FileNotFoundError, NotADirectoryError):
        return
    states = states | {state[1:] for state in states if state[0] == "**" and len(state) > 1}
    leaves = [_matcher(state[0]) for state in states if len(state) == 1]
    for entry in listing:
        name = entry.name
        path = f"{folder.rstrip('/')}/{name}"
        through = linked or entry.is_symlink()
        if _is_dir(entry):
            onward = {state for state in states if state[0] == "**" and not name.startswith(".")}
            onward |= {s[1:] for s in states if len(s) > 1 and _matcher(s[0])(name)}
            if onward and not skip(path):
                yield from _walk(path, onward, (*chain, identity), skip, linked=through)
        elif any(matches(name) for matches in leaves) and not name.endswith(UNFINISHED):
            if skip(path):
                continue
            try:
                yield path, entry.stat(), through
            except OSError:  # gone meanwhile, or a link to nowhere
                continue


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that points at itself
        return False


_matchers: dict[str, Callable[[str], bool]] = {}


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return a test of one name; only a pattern with a leading dot matches such names."""
    found = _matchers.get(pattern)
    if found is None:
        if pattern in {"*", "**"}:
            found = _visible
        else:
            match = re.compile(fnmatch.translate(pattern)).match
            hidden = pattern.startswith(".")

            def found(name: str) -> bool:
                return (hidden or not name.startswith(".")) and match(name) is not None

        _matchers[pattern] = found
    return found


def _visible(name: str) -> bool:
    return not name.startswith(".")


def _excluder(patterns: Sequence[str]) -> Callable[[str], bool]:
    trimmed = [pattern.rstrip("/") for pattern in patterns]
    names = [re.compile(fnmatch.translate(p)).match for p in trimmed if "/" not in p]
    wholes = [tuple(p.strip("/").split("/")) for p in trimmed if "/" in p]

    def skip(path: str) -> bool:
        parts = path.strip("/").split("/")
        return any(match(parts[-1]) for match in names) or any(_covers(w, parts) for w in wholes)

    return skip if patterns else lambda _path: False


def _covers(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Return whether a glob matches a path, or a folder above it."""
    if not pattern:
        return True
    if not parts:
        return False
    if pattern[0] == "**":
        return _covers(pattern[1:], parts) or _covers(pattern, parts[1:])
    return _matcher(pattern[0])(parts[0]) and _covers(pattern[1:], parts[1:])
