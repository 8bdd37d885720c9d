"""Path templates such as `out/flows/date={start_time:%Y-%m-%d}/account={account_id}/`.

A template begins with at least one folder of fixed name, and all files are below it, whatever the
values of the rows are.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from string import Formatter

import msgspec

Key = tuple[str | None, ...]
"""The texts of the values that fill a template's slots, as they are: None for null."""

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""The partition of rows without a value, as in Hive and Spark."""

RESERVED = ("task", "part")
"""Names in a file name's template that are not columns."""

STAGING = ".ktrans-staging"

# Directives that do not depend on the locale, with the seconds that one step of them spans.
_SPANS = {
    **dict.fromkeys("YmdjGVuy", 86_400),
    "H": 3_600,
    "M": 60,
    "S": 1,
}

# The characters that Hive and Spark escape in partition folders.
_UNSAFE = re.compile(r"""[\x00-\x1f\x7f"#%'*/:=?\\{}\[\]^]""")
_MAX_VALUE_BYTES = 120


class Slot(msgspec.Struct, frozen=True):
    """A part of a template that is replaced by a column's value.

    Attributes:
        column: its name.
        format: strftime directives for times, or "".
        span_secs: the seconds that the finest directive spans.
    """

    column: str
    format: str = ""
    span_secs: int = 86_400


class PathTemplate(msgspec.Struct, frozen=True):
    """A parsed template.

    Attributes:
        root: the folder of fixed name that all files are below, with its slash.
        folders: literals and slots of the rest of the folder, with its closing slash; or empty.
        name: literals and slots of the file name, `task` and `part` among them; or empty.
    """

    root: str
    folders: tuple[str | Slot, ...]
    name: tuple[str | Slot, ...]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of columns, in order."""
        parts = (*self.folders, *self.name)
        return tuple(p for p in parts if isinstance(p, Slot) and p.column not in RESERVED)

    def columns(self) -> tuple[str, ...]:
        """Return the columns of the slots."""
        return tuple(dict.fromkeys(slot.column for slot in self.slots))


def parse(text: str) -> PathTemplate:
    """Parse a template.

    Raises:
        ValueError: it has no fixed folder, could leave it, or is not well-formed.
    """
    parts = _parts(text)
    first = parts[0] if parts and isinstance(parts[0], str) else ""
    root, slash, _ = first.rpartition("/")
    if not slash or not root.strip("/"):
        raise ValueError(
            "a path begins with a folder of fixed name, such as out/ in"
            " out/date={start_time:%Y-%m-%d}/"
        )
    rest = [first[len(root) + 1 :], *parts[1:]]
    shape = "".join(part if isinstance(part, str) else "\0" for part in rest)
    segments = shape.split("/")
    if any(segment.startswith(".") for segment in segments) or "" in segments[:-1]:
        raise ValueError(
            "below its fixed folder a path has no parts that are empty or begin with ."
        )
    if STAGING in root.split("/"):
        raise ValueError(f"{STAGING} is where unfinished files wait; take another folder")
    folders, name = _at_last_slash(rest)
    if any(isinstance(p, Slot) and p.column in RESERVED for p in folders):
        raise ValueError("{task} and {part} belong into the file name, after the last slash")
    if name and not any(isinstance(p, Slot) and p.column == "task" for p in name):
        raise ValueError(
            "a path that names its files needs {task} in the name, so that tasks do not overwrite"
            " each other; or end it with a slash to have files named for you"
        )
    return PathTemplate(f"{root}/", folders, name)


def safe_value(value: str | None) -> str:
    """Return a value as (part of) a folder's name: without slashes, never hidden or special.

    Escaped as by Hive and Spark: percent and two hexadecimal digits, null and empty text as the
    null partition. Very long values are shortened to their beginning and a hash.
    """
    if not value:
        return NULL_PARTITION
    safe = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", value)
    if safe.startswith("."):
        safe = f"%2E{safe[1:]}"
    if len(safe.encode()) > _MAX_VALUE_BYTES:
        digest = blake2b(value.encode(), digest_size=8).hexdigest()
        short = safe.encode()[: _MAX_VALUE_BYTES - 17].decode(errors="ignore")
        safe = f"{short}~{digest}"
    return safe


def slug(name: str) -> str:
    """Return a name as part of a file name; different names stay different."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    if plain == name and len(name) <= _MAX_VALUE_BYTES // 2:
        return name
    return f"{plain[:40]}~{blake2b(name.encode(), digest_size=4).hexdigest()}"


def _parts(text: str) -> list[str | Slot]:
    parts: list[str | Slot] = []
    try:
        found = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"braces do not match ({error}); write {{{{ for a plain one") from None
    for literal, name, spec, conversion in found:
        if any(char in literal + (spec or "") for char in "\0\\"):
            raise ValueError("a path holds no backslash and no NUL")
        if literal and parts and isinstance(parts[-1], str):
            parts[-1] += literal
        elif literal:
            parts.append(literal)
        if name is None:
            continue
        if not name or conversion:
            raise ValueError("a slot is {column} or {time column:%Y-%m-%d}")
        parts.append(_slot(name, spec or ""))
    return parts


def _slot(name: str, spec: str) -> Slot:
    directives = re.findall(r"%(.?)", spec)
    if spec and not directives:
        raise ValueError(f"{{{name}:{spec}}} holds no directive such as %Y")
    for directive in directives:
        if directive not in _SPANS:
            raise ValueError(
                f"%{directive} in {{{name}:{spec}}} is not among {' '.join('%' + d for d in _SPANS)}"
            )
    if spec and any(not part or part.startswith(".") for part in spec.split("/")):
        raise ValueError("a path has no parts that are empty or begin with .")
    if name in RESERVED and spec:
        raise ValueError(f"{{{name}}} takes no format")
    return Slot(name, spec, min((_SPANS[directive] for directive in directives), default=86_400))


def _at_last_slash(
    parts: list[str | Slot],
) -> tuple[tuple[str | Slot, ...], tuple[str | Slot, ...]]:
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, str) and "/" in part:
            head, _, tail = part.rpartition("/")
            folders = (*parts[:index], f"{head}/")
            name = tuple(p for p in (tail, *parts[index + 1 :]) if p)
            return folders, name
    return (), tuple(part for part in parts if part)
