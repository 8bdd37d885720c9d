"""What every component has: its config, its context, and a life that ends with `close`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ktrans.api.clock import CLOCK, Clock
from ktrans.api.config import ComponentConfig

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ktrans.api.spec import Kind, Spec

C = TypeVar("C", bound=ComponentConfig)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep hostile or broken input from taking the machine down.

    Attributes:
        max_line_bytes: a longer record is a reject (`line_too_long`).
        max_inflate_ratio: decompressed over compressed bytes; beyond it the split is a reject
            (`inflate_ratio`). Checked once 64 MiB have come out.
        block_bytes: how much text a decoder takes at a time.
    """

    max_line_bytes: int = 1 << 20
    max_inflate_ratio: int = 200
    block_bytes: int = 4 << 20


def _never() -> bool:
    return False


class Registry(Protocol):
    """What a component may ask of the host about other components."""

    def specs(self, kind: Kind) -> list[Spec]:
        """List the components of a kind, in the order of their type names."""

    def build(self, kind: Kind, config: ComponentConfig, context: Context) -> Any:
        """Build a component from its validated config."""

    def config(self, kind: Kind, raw: dict[str, Any]) -> ComponentConfig:
        """Validate a raw mapping (with `type`) into the component's config model."""

    def load(self, reference: str) -> Any:
        """Import `"module:attr"`."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a component finds itself.

    Attributes:
        pipeline: the pipeline's name.
        name: the component's place, such as `source` or the sink's `id`: used in messages.
        base_dir: relative paths in the config are relative to this folder (the config file's).
        registry: the host's components, for those that build others.
        limits: bounds on input.
        log: a logger of its own, the standard library's; its lines name the pipeline and the
            component. An event's name and fields go into `extra`:
            `context.log.warning("text", extra={"event": "acme_table_stale", "table": name})`.
        stopping: whether the run has been told to stop; a source that waits for input asks it.
        ephemeral: whether this is only a look (preview, dry run), which must leave no trace and
            must not touch what a real run keeps.
        clock: the time, wherever it decides what a component does; a test can move it.
    """

    pipeline: str = "pipeline"
    name: str = "component"
    base_dir: Path = field(default_factory=Path.cwd)
    registry: Registry | None = None
    limits: Limits = field(default_factory=Limits)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("ktrans"))
    stopping: Callable[[], bool] = _never
    ephemeral: bool = False
    clock: Clock = CLOCK

    def path(self, text: str) -> Path:
        """Resolve a path from the config: `~` expanded, relative to the config's folder."""
        path = Path(text).expanduser()
        return path if path.is_absolute() else self.base_dir / path


@dataclass(frozen=True, slots=True)
class Dataset:
    """Where rows come from or go to, as tools for lineage name it.

    By the naming conventions of OpenLineage ("Naming Conventions" of its documentation): the
    namespace is the store, the name what lies there.

    Attributes:
        namespace: such as `s3://bucket`, `kafka://host:9092`, `file`. Never with credentials.
        name: such as `AWSLogs/123456789012`, the topic, `/var/log/flows`.
    """

    namespace: str
    name: str


class Component(Generic[C]):
    """The base of sources, decoders, enrichers, formats, sinks and state stores.

    The constructor only keeps what it is given: no I/O there, so that `validate` can build a
    pipeline without touching anything.
    """

    def __init__(self, config: C, context: Context | None = None) -> None:
        self.config = config
        self.context = context or Context()

    def check(self) -> None:
        """Find out whether the outside world is as the config says (`validate --connect`).

        Raises:
            KtransError: with a message that names what is missing.
        """

    def datasets(self) -> Sequence[Dataset]:
        """Say where the rows of a source come from, or those of a sink go, for lineage. No I/O.

        None at all if there is no such place, or none that the config tells.
        """
        return ()

    def close(self) -> None:
        """Let go of resources. Safe to call twice, and without any other call before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
