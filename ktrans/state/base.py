"""The component behind the section `state`: where a pipeline's memory lies, and who may write it."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from ktrans.api import Component, ComponentConfig
from ktrans.state.store import Store

C = TypeVar("C", bound=ComponentConfig)


class StateStore(Component[C]):
    """Keeps what pipelines remember.

    Attributes:
        folder: the local folder that it writes to, if it does.
    """

    folder: Path | None = None

    @property
    @abstractmethod
    def where(self) -> str:
        """Return the name of the place for messages: a path, a URL without secrets."""

    @abstractmethod
    def hold(self, pipeline: str, run: str = "") -> AbstractContextManager[Store]:
        """Hold a pipeline for one run: nobody else writes until the block has ended.

        Should another run take over all the same, because this process stood still for too long,
        then every further transaction raises FencedError and changes nothing.

        Args:
            pipeline: the pipeline's name.
            run: the id of the run, for those who find the pipeline held.

        Raises:
            LockedError: another run holds it; with `until` if that hold runs out by itself.
            StateError: there is a store, but not one that can be used.
            AccessError, UnavailableError, RetryableError, ConfigError: it cannot be reached.
        """

    @abstractmethod
    def look(self, pipeline: str) -> AbstractContextManager[Store]:
        """Return a copy in memory of what is kept, whoever holds it; empty if nothing is.

        Changes that are made to the copy go nowhere. Same errors as `hold`, but for LockedError.
        """

    @abstractmethod
    def pipelines(self) -> list[str]:
        """Return the name of the pipelines that something is kept of, in order."""
