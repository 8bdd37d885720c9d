"""Collects the errors of components, each with its place in the pipeline file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec

from ktrans.api import ConfigError, ConfigErrors, Where
from ktrans.config.draft import in_order
from ktrans.expressions.errors import ExpressionError


class ConfigProblems(msgspec.Struct):
    """The errors of a pipeline's components.

    `where` returns the place of a path in the pipeline file.
    """

    where: Callable[..., Where | None]
    errors: list[ConfigError] = msgspec.field(default_factory=list)

    @contextmanager
    def at(self, name: str, *place: str | int) -> Iterator[None]:
        """Collect errors raised inside, with their component and their place in the file."""
        try:
            yield
        except ConfigErrors as errors:
            for error in errors.errors:
                self._add(error, name, place)
        except ConfigError as error:
            self._add(error, name, place)

    def add(self, errors: Iterable[ConfigError]) -> None:
        """Add errors that have a place, without those that are known."""
        known = {key_of(error) for error in self.errors}
        self.errors += [error for error in errors if key_of(error) not in known]

    def in_order(self) -> list[ConfigError]:
        """Return the errors in the order of the file."""
        return in_order(self.errors)

    def _add(self, error: ConfigError, name: str, place: tuple[str | int, ...]) -> None:
        if error.where is None:
            steps = place if error.field is None else (*place, error.field)
            error.where = self.where(*steps)
            if isinstance(error, ExpressionError):
                exact = self.where(*steps, text=error.text, offset=error.position)
                if exact != error.where:  # its snippet replaces that of the message
                    error.where, error.message = exact, error.problem
        error.component = error.component or name
        self.errors.append(error)


def key_of(error: ConfigError) -> tuple[str, str | None, str]:
    """Return what tells two errors apart: their place, component and message."""
    return str(error.where), error.component, error.message
