"""Text that came from outside the pipeline file, and what must not be shown of a config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, get_args

from pydantic import BaseModel, SecretBytes, SecretStr

MASK = "**********"

SHORTEST_SECRET = 3
"""Shorter ones are not masked in texts: the mask would fall on half the letters."""


class Resolved(str):
    """A text after interpolation, which remembers how it was written.

    Messages show the reference, never the value.

    Attributes:
        reference: the text as it stands in the file.
        from_env: True when nothing but environment variables went into it.
    """

    __slots__ = ("from_env", "reference")

    reference: str
    from_env: bool

    def __new__(cls, value: str, reference: str, *, from_env: bool = False) -> Self:
        """Keep the value as the text, and the reference beside it."""
        text = super().__new__(cls, value)
        text.reference = reference
        text.from_env = from_env
        return text


def plain(tree: Any) -> Any:
    """Copy a tree of dicts, lists and scalars with every `Resolved` made an ordinary text."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value) for value in tree]
    return str(tree) if isinstance(tree, Resolved) else tree


def leaves(tree: Any) -> Iterator[Any]:
    """Give all scalars of a tree."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from leaves(value)
    else:
        yield tree


def is_secret(annotation: Any) -> bool:
    """Tell whether a type annotation holds a pydantic secret, at any depth of unions and lists."""
    if annotation in {SecretStr, SecretBytes}:
        return True
    return any(is_secret(part) for part in get_args(annotation))


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Give the pydantic model that an annotation is, or is a union or list of, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (model_of(part) for part in get_args(annotation))
    return next((model for model in found if model), None)


def secret_values(model: type[BaseModel], raw: Any) -> Iterator[str]:
    """Give the texts that stand where a model has secrets."""
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
    """Take values from outside, and secrets, out of a message that someone else has written."""
    hidden = {str(leaf): leaf.reference for leaf in leaves(raw) if isinstance(leaf, Resolved)}
    hidden.update(dict.fromkeys(secret_values(model, raw), MASK))
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, hidden[value])
    return text
