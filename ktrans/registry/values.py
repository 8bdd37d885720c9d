"""Interpolated texts, and the values of a config that must not be shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, get_args

from pydantic import BaseModel, SecretBytes, SecretStr

MASK = "**********"

SHORTEST_SECRET = 3
"""Shorter secrets are not masked in texts: they would match everywhere."""


class Resolved(str):
    """A text after interpolation that remembers its reference.

    Messages show the reference, never the value.

    Attributes:
        reference: the text as written in the file.
        from_env: whether it was filled from environment variables only.
    """

    __slots__ = ("from_env", "reference")

    reference: str
    from_env: bool

    def __new__(cls, value: str, reference: str, *, from_env: bool = False) -> Self:
        """Make a text of the value, with its reference."""
        text = super().__new__(cls, value)
        text.reference = reference
        text.from_env = from_env
        return text


def plain(tree: Any) -> Any:
    """Copy a tree of dicts, lists and scalars, with plain texts instead of `Resolved`."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value) for value in tree]
    return str(tree) if isinstance(tree, Resolved) else tree


def leaves(tree: Any) -> Iterator[Any]:
    """Yield all scalars of a tree."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from leaves(value)
    else:
        yield tree


def is_secret(annotation: Any) -> bool:
    """Return whether a type annotation contains a pydantic secret, at any depth."""
    if annotation in {SecretStr, SecretBytes}:
        return True
    return any(is_secret(part) for part in get_args(annotation))


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the pydantic model in an annotation, or in its union or list, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (model_of(part) for part in get_args(annotation))
    return next((model for model in found if model), None)


def secret_values(model: type[BaseModel], raw: Any) -> Iterator[str]:
    """Yield the raw texts of the secret options of a model."""
    if isinstance(raw, list):
        for item in raw:
            yield from secret_values(model, item)
    elif isinstance(raw, dict):
        for name, info in model.model_fields.items():
            value = raw.get(info.alias or name)
            if value is None:
                continue
            if is_secret(info.annotation):
                yield from (str(leaf) for leaf in leaves(value))
            elif inner := model_of(info.annotation):
                yield from secret_values(inner, value)


def scrub(text: str, model: type[BaseModel], raw: Any) -> str:
    """Mask interpolated values and secrets in a message that a library or plugin wrote."""
    hidden = {str(leaf): leaf.reference for leaf in leaves(raw) if isinstance(leaf, Resolved)}
    hidden.update(dict.fromkeys(secret_values(model, raw), MASK))
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, hidden[value])
    return text
