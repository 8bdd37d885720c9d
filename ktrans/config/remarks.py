"""Finds what is valid in a pipeline file, but probably not meant so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from ktrans.registry.validation import Problem
from ktrans.registry.values import Resolved, is_secret, leaves, model_of

Path_ = tuple[str | int, ...]

UNSET_SECRET = "set-me"  # noqa: S105 - it is no secret
"""What `ktrans init` and the examples give as the default of a secret. Everyone knows it."""

_VARIABLE = re.compile(r"(?:^|(?<=/))\$\(?(?P<name>[A-Za-z_]\w*)\)?(?=/|$)")
_URL_PASSWORD = re.compile(r"://[^\s/:@]*:[^\s/@]+@")

_DATABASE = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*://")
_PARAMETER = re.compile(r"[?&]\w*(?:password|secret|token|api_?key)\w*=", re.IGNORECASE)


def remarks(model: type[BaseModel], raw: Any, path: Path_) -> Iterator[Problem]:
    """Yield remarks on the options of a component.

    A shell's variable in a path is not filled in. A secret should not be in the file, and is still
    to be set where it has the default of the examples.
    """
    for name, value in raw.items() if isinstance(raw, dict) else ():
        info = model.model_fields.get(name)
        inner = model_of(info.annotation) if info else None
        if info is not None and is_secret(info.annotation) and inner is None:
            if any(UNSET_SECRET in str(leaf) for leaf in leaves(value)):
                yield Problem(
                    (*path, name),
                    "secret_unset",
                    f"`{name}` has the default of the examples, which everyone knows",
                    "set the environment variable that the option names",
                )
            elif any(_is_told(leaf) for leaf in leaves(value)):
                yield Problem(
                    (*path, name),
                    "secret_in_file",
                    f"`{name}` is a secret, and is in the file in clear text",
                    f"write `{name}: ${{env:NAME}}` or `${{file:/path}}`",
                    secret=True,
                )
        elif inner is not None and isinstance(value, dict):
            yield from remarks(inner, value, (*path, name))
        elif inner is not None and isinstance(value, list):
            for index, item in enumerate(value):
                yield from remarks(inner, item, (*path, name, index))
        else:
            yield from _texts(value, (*path, name))


def _is_told(leaf: Any) -> bool:
    """Return whether a file tells a secret: not by a variable, nor by a database's address without one."""
    if not leaf or isinstance(leaf, Resolved):
        return False
    parts = (_URL_PASSWORD, _PARAMETER)
    plain = _DATABASE.match(str(leaf)) and not any(part.search(str(leaf)) for part in parts)
    return not plain


def _texts(value: Any, path: Path_) -> Iterator[Problem]:
    """Yield remarks on the texts of an option."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(item, (*path, key))
        return
    if not isinstance(value, str) or isinstance(value, Resolved):
        return
    if "'" not in value and (found := _VARIABLE.search(value)):  # no expression
        yield Problem(
            path,
            "shell_variable",
            f"`{found[0]}` is not filled in: it is the name of a folder or file",
            f"write `${{env:{found['name']}}}` for the environment variable",
        )
    if _URL_PASSWORD.search(value):
        yield Problem(
            path,
            "secret_in_file",
            "the password in this URL is in the file in clear text",
            "write `${env:NAME}` or `${file:/path}` in its place",
            secret=True,
        )
