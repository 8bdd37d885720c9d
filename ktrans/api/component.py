"""The base class of all components, and the context that the host gives them.

>>> from ktrans.api import Component, ComponentConfig, Context
>>> class Acme(Component[ComponentConfig]):
...     def check(self):
...         print(f"{self.context.name} of {self.context.pipeline} can be reached")
>>> context = Context(pipeline="flows", name="lake")
>>> with Acme(ComponentConfig(type="acme"), context) as acme:
...     acme.check()
lake of flows can be reached
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from ktrans.api.clock import CLOCK, Clock
from ktrans.api.config import ComponentConfig
from ktrans.api.errors import ConfigError
from ktrans.api.spec import Kind, Spec

if TYPE_CHECKING:
    from typing import Self

C = TypeVar("C", bound=ComponentConfig)

Reach = Literal["anywhere", "shared_path", "here"]
"""Where the work of a component may be done: on any machine, in any process that sees the same files
under the same paths, or only in the process that runs the pipeline."""

LONGEST_NAME = 255
LONGEST_PATH = 4096
"""The limits of Linux (NAME_MAX, PATH_MAX), in bytes."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that protect the machine from hostile or broken input.

    Attributes:
        max_line_bytes: a longer record is rejected (`line_too_long`).
        max_inflate_ratio: decompressed over compressed bytes; a split that exceeds it is rejected
            (`inflate_ratio`). Checked once 64 MiB are decompressed.
        block_bytes: how much text a decoder takes at a time.
        earliest_time: times before this day (UTC) are not those of flows (`time_out_of_range`).
        latest_time: nor are times from this day on.
    """

    max_line_bytes: int = 1 << 20
    max_inflate_ratio: int = 200
    block_bytes: int = 4 << 20
    earliest_time: dt.date = dt.date(1970, 1, 1)
    latest_time: dt.date = dt.date(2100, 1, 1)


class Registry(Protocol):
    """The host's components, for components that contain others."""

    def specs(self, kind: Kind) -> list[Spec]:
        """List the components of a kind, sorted by type."""

    def build(self, kind: Kind, config: ComponentConfig, context: Context) -> Any:
        """Build a component from its validated config."""

    def config(self, kind: Kind, raw: dict[str, Any]) -> ComponentConfig:
        """Validate a raw mapping (with `type`) into the component's config model."""

    def load(self, reference: str) -> Any:
        """Import `"module:attr"`."""


class Health:
    """Takes reports of a component on the system behind it; may be called from any thread.

    The host logs an outage when it begins, at growing intervals and when it is over, counts the
    attempts in the metrics, and is not ready meanwhile. By itself this class does nothing.
    """

    def failed(self, error: BaseException) -> None:
        """Report a failed attempt that the component is going to repeat."""

    def works(self) -> None:
        """Report that the system answers."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a component knows about the pipeline that it is part of.

    Attributes:
        pipeline: the pipeline's name.
        name: the component's place, such as `source` or the sink's `id`; used in messages.
        base_dir: the folder of the config file; relative paths in the config start here.
        registry: the host's components.
        limits: limits on input.
        log: a standard logger whose lines name pipeline and component. An event's name and fields
            go into `extra`: `log.warning("text", extra={"event": "acme_table_stale", "table": t})`.
        stopping: returns whether the run has been asked to stop; for sources that wait for input.
        abandoned: returns whether the run gives up its current work (the grace period is over):
            whatever waits for another system raises InterruptedRunError then.
        health: for reports on the system behind the component; `ktrans.kit.retry` makes them.
        ephemeral: this is a preview or dry run, which leaves no trace and does not touch the files
            of a real run.
        clock: the time, wherever it decides what a component does.
    """

    pipeline: str = "pipeline"
    name: str = "component"
    base_dir: Path = field(default_factory=Path.cwd)
    registry: Registry | None = None
    limits: Limits = field(default_factory=Limits)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("ktrans"))
    stopping: Callable[[], bool] = bool
    abandoned: Callable[[], bool] = bool
    health: Health = field(default_factory=Health)
    ephemeral: bool = False
    clock: Clock = CLOCK

    def path(self, text: str) -> Path:
        """Resolve a path of the config: expand `~`, start relative ones at `base_dir`.

        Raises:
            ConfigError: no file can have this name, or the user after `~` is unknown.
        """
        if "\0" in text:
            raise ConfigError(f"{text!r} is not a path: it holds a NUL", code="path_bad")
        try:
            path = Path(text).expanduser()
        except RuntimeError:
            raise ConfigError(
                f"there is no home folder for {text}",
                code="path_bad",
                hint="write the path from its beginning, or `./~...` for a name with a tilde",
            ) from None
        path = path if path.is_absolute() else self.base_dir / path
        longest = max(len(os.fsencode(part)) for part in path.parts)
        if longest > LONGEST_NAME or len(os.fsencode(path)) >= LONGEST_PATH:
            raise ConfigError(
                f"{text[:_SHOWN]}... is too long for a path: names have at most {LONGEST_NAME} bytes, "
                f"and whole paths fewer than {LONGEST_PATH}",
                code="path_bad",
            )
        return path


@dataclass(frozen=True, slots=True)
class Dataset:
    """Where rows come from or go to, by the naming conventions of OpenLineage.

    Attributes:
        namespace: the store, such as `s3://bucket`, `kafka://host:9092`, `file`; no credentials.
        name: the data in it, such as `AWSLogs/123456789012`, the topic, `/var/log/flows`.
    """

    namespace: str
    name: str


class Component(Generic[C]):
    """The base of sources, decoders, enrichers, formats, sinks, state stores and executors.

    The constructor does no I/O, so that `validate` can build a pipeline.
    """

    def __init__(self, config: C, context: Context | None = None) -> None:
        self.config = config
        self.context = context or Context()

    @property
    def bound_because(self) -> str:
        """Why its work cannot be done anywhere, in a few words ("it counts series in memory").

        For people; empty if `reads`, `stages` or `runs` says enough.
        """
        return ""

    def check(self) -> None:
        """Check that what the config names exists and can be used (`validate --connect`).

        Raises:
            KtransError: with a message that names what is missing.
        """

    def datasets(self) -> Sequence[Dataset]:
        """Return where a source reads or a sink writes, for lineage. No I/O."""
        return ()

    def close(self) -> None:
        """Release resources. Safe to call twice, and without any other call before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
