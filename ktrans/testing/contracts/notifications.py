"""The contract of sources that a queue tells of objects: each message is read, skipped by name, or a reject."""

from __future__ import annotations

import abc
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ktrans.api import Budget, Plan, RejectError, Source, Split
from ktrans.kit.notifications import (
    NOT_A_NOTIFICATION,
    Announced,
    UnknownMessageError,
    message_bytes,
)
from ktrans.testing.contracts.sources import PlainMemory, read

_MUTANTS = 150
"""How many mutants of each message are parsed."""
_NAMES = ("a", "b")
_UNKNOWN = "<what is this?>"
_ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    "http://[",
    [],
    {},
    [[]],
    {"a": 1},
    "\ud800",
)


class NotificationCase(abc.ABC):
    """A source over an empty queue."""

    @abc.abstractmethod
    def build(self) -> Source[Any]:
        """Build the source as a new process would."""

    @abc.abstractmethod
    def parse(self, text: str) -> Announced[Any]:
        """Parse a message as the source does."""

    @abc.abstractmethod
    def announce(self, name: str) -> str:
        """Write an object of this name, whose bytes are its name; return the message about it."""

    @abc.abstractmethod
    def skipped(self) -> dict[str, str]:
        """Return messages about events that bring no data, by the names of these events."""

    @abc.abstractmethod
    def send(self, text: str) -> None:
        """Put a message into the queue."""

    @abc.abstractmethod
    def left(self) -> int:
        """Return how many messages the queue has, those included that are hidden."""

    @abc.abstractmethod
    def reappear(self, source: Source[Any]) -> None:
        """Let messages that a source has received appear again, as time does."""


class NotificationContract:
    """Inherit this and give a fixture `notifications` that returns a NotificationCase."""

    @pytest.fixture
    def notifications(self) -> NotificationCase:
        """Return the case; to be overridden."""
        raise NotImplementedError

    def test_any_message_is_understood_or_refused(self, notifications: NotificationCase) -> None:
        """What is like a notification, too: nothing else is raised, and no answer is empty."""
        chance = random.Random(1)  # noqa: S311  # no secret
        messages = [notifications.announce("a"), *notifications.skipped().values()]
        for text in messages:
            told = notifications.parse(text)
            assert told.objects or told.skipped
            for mutant in _mutants(text, chance):
                try:
                    told = notifications.parse(mutant)
                except UnknownMessageError:
                    continue
                assert told.objects or told.skipped, f"{mutant!r} says nothing"
                assert all(told.skipped), f"{mutant!r} is skipped without a name"

    def test_events_that_bring_no_data_are_named(self, notifications: NotificationCase) -> None:
        """And their messages deleted."""
        for text in notifications.skipped().values():
            notifications.send(text)
        source = notifications.build()
        plan = source.plan(None, PlainMemory(), Budget())
        assert plan is not None, "no note says what was skipped"
        assert not plan.splits
        for name in notifications.skipped():
            assert any(name in note for note in plan.notes), f"no note has {name}"
        assert notifications.left() == 0
        source.close()

    def test_a_message_that_is_not_understood_is_a_reject(
        self, notifications: NotificationCase
    ) -> None:
        """It has the message's bytes, harms no other, and is deleted once it is recorded."""
        source, memory, plan = self._planned(notifications)
        self._check(source, plan)
        assert notifications.left() == len(_NAMES) + 1, (
            "a message is gone before its epoch was recorded"
        )
        _record(source, memory, plan)
        assert notifications.left() == 0, "a message stays although it is recorded"
        source.close()

    def test_a_process_that_dies_loses_no_message(self, notifications: NotificationCase) -> None:
        """A new one does the epoch again from its plan, and a message that comes again is known."""
        source, memory, plan = self._planned(notifications)
        written = json.loads(json.dumps([split.to_json() for split in plan.splits]))
        again = notifications.build()
        splits = tuple(map(Split.from_json, written))
        plan = Plan(splits, json.loads(json.dumps(plan.position)), plan.remember)
        self._check(again, plan)
        _record(again, memory, plan)
        notifications.reappear(source)
        source.close()
        rest = again.plan(plan.position, memory, Budget())
        assert rest is None or not rest.splits, "what is recorded is planned again"
        assert notifications.left() == 0
        again.close()

    def _planned(self, notifications: NotificationCase) -> tuple[Source[Any], PlainMemory, Plan]:
        for text in (_UNKNOWN, *map(notifications.announce, _NAMES)):
            notifications.send(text)
        source, memory = notifications.build(), PlainMemory()
        plan = source.plan(None, memory, Budget())
        assert plan is not None
        return source, memory, plan

    def _check(self, source: Source[Any], plan: Plan) -> None:
        found = [read(source, split) for split in plan.splits if not _refused(split)]
        assert sorted(found) == [name.encode() for name in _NAMES]
        (unknown,) = filter(_refused, plan.splits)
        assert message_bytes(unknown) == (_UNKNOWN.encode(), True)
        with pytest.raises(RejectError) as error:
            source.open(unknown)
        assert error.value.code == NOT_A_NOTIFICATION


def _refused(split: Split) -> bool:
    return message_bytes(split)[0] is not None


def _record(source: Source[Any], memory: PlainMemory, plan: Plan) -> None:
    """Do what the engine does after an epoch; rejected splits are left out of what it commits."""
    memory.record(plan)
    for split in filter(_refused, plan.splits):
        if split.key in memory:
            memory[split.key] = {**memory[split.key], "rejected": True}
    read_splits = tuple(split for split in plan.splits if not _refused(split))
    source.commit(Plan(read_splits, json.loads(json.dumps(plan.position)), plan.remember))


def _mutants(text: str, chance: random.Random) -> Iterator[str]:
    """Yield texts that are like a message: cut, or with other values and keys."""
    for _ in range(_MUTANTS):
        kind = chance.randrange(4)
        if kind == 0:
            at = chance.randrange(len(text) + 1)
            yield text[:at] + chance.choice(["", "\0", "é", "{", '"']) + text[at + 1 :]
            continue
        document = json.loads(text)
        for _ in range(chance.randint(1, 3)):
            document = _mutated(document, chance)
        yield json.dumps(document, ensure_ascii=kind == 1)


def _mutated(value: Any, chance: random.Random) -> Any:
    """Return a JSON value that differs in one place from another."""
    if isinstance(value, dict) and value and chance.random() < 0.9:  # noqa: PLR2004
        key = chance.choice(list(value))
        if chance.random() < 0.3:  # noqa: PLR2004
            return {other: kept for other, kept in value.items() if other != key}
        return {**value, key: _mutated(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:  # noqa: PLR2004
        at = chance.randrange(len(value))
        return [*value[:at], _mutated(value[at], chance), *value[at + chance.randint(0, 1) :]]
    return chance.choice([*_ODD, [value], {"Records": value}, {"detail": value}])
