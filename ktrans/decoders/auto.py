"""Looks at each object and picks the decoder that knows it."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from ktrans.api import (
    ComponentConfig,
    ConfigError,
    Context,
    Decoded,
    Decoder,
    Head,
    Payload,
    PluginError,
    RejectError,
    Sniff,
)
from ktrans.decoders import log_events
from ktrans.flow.schema import project
from ktrans.kit.text.inflate import Inflater, inflate_head, wait_for_more

HEAD_BYTES = 64 << 10
RAW_HEAD_BYTES = 64 << 10
_PARQUET_MAGIC = b"PAR1"
_NOTHING = b"\xef\xbb\xbf \t\r\n"
_MAX_CHOICES = 100
_SHOWN_BYTES = 60


class AutoDecoderConfig(ComponentConfig):
    """Options of the `auto` decoder."""

    type: Literal["auto"] = Field(
        default="auto", description="Which component this is.", examples=["auto"]
    )
    format: str | None = Field(
        default=None,
        description=(
            "The fields of a line, in order, for text logs without a header line; passed on to "
            "decoders that have this option."
        ),
        examples=["${version} ${vpc-id} ${srcaddr} ${dstaddr} ${bytes}"],
    )
    candidates: tuple[str, ...] | None = Field(
        default=None,
        description="Decoders to choose from; all that can recognise their format if not given.",
        examples=[["aws_vpc", "aws_tgw"]],
    )


@dataclass(frozen=True, slots=True)
class Delegated:
    """A block of another decoder.

    Attributes:
        decoder: whose it is.
        block: the block.
    """

    decoder: Decoder[Any]
    block: Any

    @property
    def nbytes(self) -> int:
        """Size of the block."""
        return int(self.block.nbytes)


@dataclass(frozen=True, slots=True)
class _Claim:
    """One decoder's claim on an object."""

    name: str
    sniff: Sniff


class AutoDecoder(Decoder[AutoDecoderConfig]):
    """Asks every decoder's sniffer about an object's first bytes; the surest one decodes it."""

    def __init__(self, config: AutoDecoderConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._columns: tuple[str, ...] | None = None
        self._decoders: dict[tuple[str, str], Decoder[Any]] = {}
        self._choices: dict[str, str] = {}
        self._unlisted = 0
        self._lock = threading.Lock()

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Give the flow schema, narrowed to `columns`: all decoders share it."""
        self._columns = None if columns is None else tuple(columns)
        for decoder in self._decoders.values():
            decoder.schema(self._columns)
        return project(columns)

    def blocks(self, payload: Payload) -> Iterator[Delegated]:
        """Pick the decoder, and give its blocks.

        Raises:
            RejectError: no decoder knows the object, or several do equally well.
        """
        head = self._head(payload)
        if not head.data.strip(_NOTHING) and head.columns is None:
            self._refuse_broken(payload)
            self._note(payload.uri, "empty")
            return
        claim = self._choose(head)
        self._note(payload.uri, f"{claim.name}: {claim.sniff.why}")
        decoder = self._decoder(claim)
        for block in decoder.blocks(payload):
            yield Delegated(decoder, block)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Delegated]:
        """Give blocks for the raw bytes of rejects, chosen by their layout if it names fields."""
        with payload.open() as stream:
            raw = stream.read(HEAD_BYTES)
        names = f"{layout}\n".encode() if layout and " " in layout else b""
        claim = self._choose(Head(payload.uri, names + raw))
        decoder = self._decoder(claim)
        for block in decoder.replay(payload, layout):
            yield Delegated(decoder, block)

    def decode(self, block: Delegated) -> Decoded:
        """Let the block's own decoder turn it into rows."""
        return block.decoder.decode(block.block)

    def choices(self) -> dict[str, str]:
        """Say which decoder was chosen for which object, and why; the first hundred by name."""
        with self._lock:
            listed = dict(self._choices)
            if self._unlisted:
                listed["..."] = f"{self._unlisted} more objects"
        return listed

    def close(self) -> None:
        """Close the decoders that were built."""
        for decoder in self._decoders.values():
            decoder.close()

    def _note(self, uri: str, choice: str) -> None:
        with self._lock:
            if uri in self._choices or len(self._choices) < _MAX_CHOICES:
                self._choices[uri] = choice
            else:
                self._unlisted += 1

    def _head(self, payload: Payload) -> Head:
        try:
            raw = payload.head(RAW_HEAD_BYTES)
        except io.UnsupportedOperation:
            with payload.open() as stream:
                raw = stream.read(RAW_HEAD_BYTES)
        if raw.startswith(_PARQUET_MAGIC):
            return Head(payload.uri, raw, _parquet_columns(payload))
        return Head(payload.uri, inflate_head(raw, HEAD_BYTES))

    def _refuse_broken(self, payload: Payload) -> None:
        """Make sure that an object that seems to be empty is not merely broken."""
        inflater = Inflater(payload.open, self.context.limits, payload.uri)
        if any(piece.strip(_NOTHING) for piece in inflater.chunks()):
            raise RejectError(
                f"{payload.uri}: nothing but blanks in the first {HEAD_BYTES} bytes",
                code="unknown_format",
            )
        problem = inflater.problem
        if problem is not None:
            wait_for_more(payload, problem)
            raise RejectError(f"{payload.uri}: {problem.message}", code=problem.reason)

    def _choose(self, head: Head) -> _Claim:
        claims = self._claims(head)
        if not claims and self.config.format is not None and head.columns is None:
            described = _with_format(head, self.config.format)
            claims = [] if described is None else self._claims(described)
        claims.sort(key=lambda claim: -claim.sniff.score)
        if not claims:
            raise RejectError(
                f"{head.uri}: no decoder knows this; it begins with {_shown(head)}",
                code="unknown_format",
                hint=(
                    "name the decoder instead of `auto`; for AWS text logs without a header line "
                    "also say what its fields are: "
                    "decoder: {type: aws_vpc, format: '${version} ${srcaddr} ...'}"
                ),
            )
        best = claims[0].sniff.score
        tied = [claim for claim in claims if claim.sniff.score == best]
        if len(tied) > 1:
            seen = "; ".join(f"{claim.name}: {claim.sniff.why}" for claim in tied)
            raise RejectError(
                f"{head.uri}: {len(tied)} decoders fit equally well ({seen})",
                code="ambiguous_format",
                hint="name one in the pipeline, or list those to choose from: "
                f"decoder: {{type: auto, candidates: [{tied[0].name}]}}",
            )
        return claims[0]

    def _claims(self, head: Head) -> list[_Claim]:
        registry = self.context.registry
        if registry is None:
            raise ConfigError("the auto decoder needs to know the other decoders")
        wanted = self.config.candidates
        specs = {spec.type: spec for spec in registry.specs("decoder")}
        for name in wanted or ():
            if name not in specs or specs[name].sniff is None:
                able = ", ".join(sorted(n for n, s in specs.items() if s.sniff))
                raise ConfigError(
                    f"candidates: {name} is not a decoder that can recognise its format",
                    hint=f"those that can: {able}",
                )
        claims = []
        for name, spec in specs.items():
            if spec.sniff is None or (wanted is not None and name not in wanted):
                continue
            try:
                found: Sniff | None = registry.load(spec.sniff)(head)
            except PluginError as error:
                if wanted is not None:
                    raise
                self.context.log.warning(
                    "auto: the decoder %s cannot be used: %s",
                    name,
                    error,
                    extra={"event": log_events.DECODER_UNUSABLE, "decoder": name},
                )
                continue
            if found is not None:
                claims.append(_Claim(name, found))
        return claims

    def _decoder(self, claim: _Claim) -> Decoder[Any]:
        """Build a decoder, or take the one built before with the same options."""
        registry = self.context.registry
        assert registry is not None
        options = dict(claim.sniff.options or {})
        key = (claim.name, repr(sorted(options.items())))
        with self._lock:
            decoder = self._decoders.get(key)
            if decoder is None:
                config = registry.config("decoder", {"type": claim.name, **options})
                if self.config.format is not None and "format" in type(config).model_fields:
                    config = self._with_own_format(claim.name, options, config)
                decoder = registry.build("decoder", config, self.context)
                decoder.schema(self._columns)
                self._decoders[key] = decoder
        return decoder

    def _with_own_format(
        self, name: str, options: dict[str, Any], config: ComponentConfig
    ) -> ComponentConfig:
        """Pass the `format` option on, unless it is that of another kind of log."""
        assert self.context.registry is not None
        raw = {"type": name, "format": self.config.format, **options}
        try:
            return self.context.registry.config("decoder", raw)
        except ConfigError:
            return config


def _with_format(head: Head, text: str) -> Head | None:
    """Put the configured format before the data, as the header line that it lacks.

    None if the first line is neither JSON nor has as many fields (or one more, a time).
    """
    names = text.replace("${", " ").replace("}", " ").replace(",", " ").encode().split()
    line = head.data.lstrip().partition(b"\n")[0]
    if not line.startswith(b"{") and len(line.split()) - len(names) not in (0, 1):
        return None
    return Head(head.uri, b" ".join(names) + b"\n" + head.data)


def _parquet_columns(payload: Payload) -> tuple[str, ...] | None:
    """Read the names of the columns; None if the file is damaged, which its decoder will say."""
    import pyarrow.parquet as pq

    try:
        with payload.random_access() as stream:
            return tuple(pq.read_schema(stream).names)
    except (pa.ArrowException, OSError):
        return ()


def _shown(head: Head) -> str:
    if head.columns is not None:
        names = ", ".join(head.columns[:8])
        return f"Parquet columns {names}" if names else "a Parquet file that cannot be read"
    line = head.data.lstrip().partition(b"\n")[0]
    return repr(line[:_SHOWN_BYTES])[1:] + ("..." if len(line) > _SHOWN_BYTES else "")
