"""Splits that a pipeline remembers or has quarantined: finds and forgets them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ktrans.api import StateError
from ktrans.state.epochs import chunks

if TYPE_CHECKING:
    from ktrans.state.store import Store


@dataclass(frozen=True, slots=True)
class KnownSplit:
    """A split that is remembered or quarantined.

    `epoch` is the one that read it, or tried to; `quarantined` says why it could not be read.
    """

    key: str
    value: Any = None
    epoch: int = 0
    quarantined: str | None = None


def matching(
    store: Store,
    pipeline: str,
    *,
    keys: Sequence[str] = (),
    prefix: str | None = None,
    quarantined: bool = False,
) -> list[KnownSplit]:
    """Find splits by keys, by the beginning of keys, or all that are quarantined.

    Returns:
        The splits by key, in order, each once.
    """
    found: dict[str, KnownSplit] = {}
    for where, values in _conditions(keys, prefix):
        for key, value, number in store.rows(
            f"SELECT key, value, number FROM remembered WHERE pipeline=? AND {where}",  # noqa: S608
            pipeline,
            *values,
        ):
            found[key] = KnownSplit(key, json.loads(value), number)
    wanted = set(keys)
    for item in store.quarantined(pipeline):
        key = item["key"]
        hit = key in wanted or (prefix is not None and key.startswith(prefix))
        if quarantined or hit:
            known = found.get(key)
            found[key] = KnownSplit(key, known and known.value, item["epoch"], item["reason"])
    return [found[key] for key in sorted(found)]


def _conditions(keys: Sequence[str], prefix: str | None) -> Iterator[tuple[str, Sequence[str]]]:
    for marks, chunk in chunks(keys):
        yield f"key IN ({marks})", chunk
    if prefix is not None:
        yield f"substr(key, 1, {len(prefix)})=?", (prefix,)


def forget(store: Store, pipeline: str, found: Sequence[KnownSplit]) -> None:
    """Forget splits, so that the source plans them again.

    Raises:
        StateError: an unfinished epoch reads one of them.
    """
    keys = [one.key for one in found]
    epoch = store.unfinished(pipeline)
    busy = set(keys) & ({*epoch.remember, *(s.key for s in epoch.splits)} if epoch else set())
    if epoch is not None and busy:
        raise StateError(
            f"epoch {epoch.number} is unfinished and reads {min(busy)}",
            code="epoch_unfinished",
            hint="run the pipeline once, which finishes it, and try again",
        )
    store.forget(pipeline, keys)
