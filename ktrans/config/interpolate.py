"""Fills in references such as `${env:NAME}` and `${file:/path}` in the parsed data.

The file is parsed first, so a value cannot change the structure: it is always one text. All missing
values are reported at once.

    ${env:NAME}            an environment variable
    ${env:NAME:-default}   the same; the default if it is unset or empty
    ${file:/path}          a file's text without the newline at its end
    ${scheme:reference}    a value that a plugin resolves
    $$                     a dollar sign; needed only before `{`
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ktrans.api import KtransError
from ktrans.registry.redaction import learn_secrets
from ktrans.registry.validation import Problem
from ktrans.registry.values import Resolved

MAX_FILE_BYTES = 1 << 20

_TOKEN = re.compile(r"\$\$|\$\{(?P<inner>[^}]*)(?P<end>\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9_+-]*):(?P<ref>.*)", re.DOTALL)

Path_ = tuple[str | int, ...]
ResolveSecret = Callable[[str, str], str | None]


class _CannotResolve(Exception):
    """Carries the code, message and hint of a reference that has no value."""


class Interpolator(msgspec.Struct):
    """Fills in the texts of a tree.

    Args:
        environ: the environment variables.
        base_dir: relative paths of `${file:...}` are relative to it.
        resolve_secret: returns the value for other schemes, or None.

    `problems` has the references that could not be filled in, `files` those that references
    name, missing ones included.
    """

    environ: Mapping[str, str]
    base_dir: Path
    resolve_secret: ResolveSecret
    problems: list[Problem] = msgspec.field(default_factory=list)
    files: set[Path] = msgspec.field(default_factory=set)

    def fill(self, tree: Any, path: Path_ = ()) -> Any:
        """Copy a tree with every text filled in; texts that changed become `Resolved`."""
        if isinstance(tree, dict):
            return {key: self.fill(value, (*path, key)) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self.fill(value, (*path, at)) for at, value in enumerate(tree)]
        if isinstance(tree, str) and "$" in tree:
            return self._text(tree, path)
        return tree

    def _text(self, text: str, path: Path_) -> str:
        schemes: list[str] = []

        def replace(match: re.Match[str]) -> str:
            if match[0] == "$$":
                return "$"
            try:
                scheme, value = self._value(match["inner"], closed=bool(match["end"]))
            except _CannotResolve as error:
                self.problems.append(Problem(path, *error.args))
                scheme, value = "", match[0]
            schemes.append(scheme)
            return value

        filled = _TOKEN.sub(replace, text)
        if not schemes:
            return filled
        return Resolved(filled, text, from_env=set(schemes) <= {"env"})

    def _value(self, inner: str, *, closed: bool) -> tuple[str, str]:
        if not closed:
            raise _CannotResolve(
                "bad_reference", "`${` without its `}`", "write `$$` for a dollar sign"
            )
        match = _SCHEME.fullmatch(inner)
        if match is None:
            name = inner.strip()
            right = f"${{env:{name}}}" if _NAME.fullmatch(name) else "${env:NAME}"
            raise _CannotResolve(
                "bad_reference",
                f"`${{{inner}}}` has no scheme",
                f"write `{right}` for an environment variable, or `$${{` for the text itself",
            )
        scheme, ref = match["scheme"], match["ref"]
        if scheme == "env":
            return scheme, self._env(ref)
        if scheme == "file":
            return scheme, self._file(ref)
        return scheme, self._secret(scheme, ref)

    def _env(self, ref: str) -> str:
        name, has_default, default = ref.partition(":-")
        if not _NAME.fullmatch(name):
            raise _CannotResolve(
                "bad_reference",
                f"`{name}` is not the name of an environment variable",
                "a default follows `:-`, as in `${env:NAME:-default}`",
            )
        value = self.environ.get(name)
        if has_default:
            return value or default
        if value is None:
            raise _CannotResolve(
                "missing_env",
                f"the environment variable {name} is not set",
                f"set it, or give a default: `${{env:{name}:-default}}`",
            )
        return value

    def _file(self, ref: str) -> str:
        if "\0" in ref:
            raise _CannotResolve("missing_file", f"{ref!r} is not a path", None)
        path = Path(os.path.expanduser(ref))  # noqa: PTH111 - pathlib's raises for unknown users
        path = path if path.is_absolute() else self.base_dir / path
        self.files.add(path)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise _CannotResolve(
                "missing_file", f"the file {path} cannot be read: {error.strerror}", None
            ) from error
        if len(data) > MAX_FILE_BYTES:
            raise _CannotResolve("missing_file", f"the file {path} is larger than 1 MiB", None)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise _CannotResolve("missing_file", f"the file {path} is not UTF-8", None) from None
        return text.removesuffix("\n").removesuffix("\r")

    def _secret(self, scheme: str, ref: str) -> str:
        try:
            value = self.resolve_secret(scheme, ref)
        except KtransError as error:
            raise _CannotResolve(error.code, error.message, error.hint) from error
        if value is None:
            raise _CannotResolve(
                "unknown_scheme",
                f"no plugin resolves `${{{scheme}:...}}`",
                "`env` and `file` are built in; plugins add others",
            )
        learn_secrets([value])
        return value
