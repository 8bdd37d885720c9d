"""Picks a decoder for each object by its first bytes.

Every decoder that can recognise its log makes a claim with a score (`ktrans.decoders.sniffing` says
what the scores mean); the highest claim decides, and equal claims reject the object.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
from ktrans.decoders.carriers.envelopes import as_json
from ktrans.decoders.frames.head import HEAD_BYTES, first_bytes
from ktrans.decoders.read.parquet import UNREADABLE_PARQUET
from ktrans.flow.schema import project
from ktrans.kit.text.inflate import Inflater, wait_for_more
from ktrans.kit.text.magic import PARQUET_MAGIC

_BLANK = b"\xef\xbb\xbf \t\r\n"
_MAX_CHOICES = 100
_SHOWN_BYTES = 60


class AutoDecoderConfig(ComponentConfig, type="auto"):
    """Options of the `auto` decoder."""

    format: str | None = Field(
        default=None,
        description=(
            "The fields of a line, in order, for text logs without a header line; used by decoders "
            "that have this option."
        ),
        examples=["${version} ${vpc-id} ${srcaddr} ${dstaddr} ${bytes}"],
    )
    candidates: tuple[str, ...] | None = Field(
        default=None,
        description="Decoders to choose from. Default: all that can recognise their log.",
        examples=[["aws_vpc", "aws_tgw"]],
    )


@dataclass(frozen=True, slots=True)
class Delegated:
    """A block of another decoder.

    Attributes:
        decoder: the decoder that cut it.
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
    """A decoder's claim on an object."""

    name: str
    sniff: Sniff


class AutoDecoder(Decoder[AutoDecoderConfig]):
    """Decodes each object by the decoder whose claim on its first bytes has the highest score."""

    def __init__(self, config: AutoDecoderConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._columns: tuple[str, ...] | None = None
        self._decoders: dict[tuple[str, str], Decoder[Any]] = {}
        self._choices: dict[str, str] = {}
        self._unlisted = 0
        self._lock = threading.Lock()

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the flow schema, narrowed to `columns`: all decoders share it."""
        self._columns = None if columns is None else tuple(columns)
        for decoder in self._decoders.values():
            decoder.schema(self._columns)
        return project(columns)

    def blocks(self, payload: Payload) -> Iterator[Delegated]:
        """Pick a decoder, and yield its blocks.

        Raises:
            RejectError: no decoder recognises the object, or several do with the same score.
        """
        head = self._head(payload)
        if not head.data.strip(_BLANK) and head.columns is None:
            self._refuse_broken(payload)
            self._note(payload.uri, "empty")
            return
        claim = self._choose(head)
        self._note(payload.uri, f"{claim.name}: {claim.sniff.why}")
        decoder = self._decoder(claim)
        for block in decoder.blocks(payload):
            yield Delegated(decoder, block)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Delegated]:
        """Yield blocks for the raw bytes of rejects; a layout that names fields picks the decoder."""
        with payload.open() as stream:
            decoder = self.chosen(payload.uri, stream.read(HEAD_BYTES), layout)
        for block in decoder.replay(payload, layout):
            yield Delegated(decoder, block)

    def chosen(self, uri: str, records: bytes, layout: str | None) -> Decoder[Any]:
        """Return the decoder of some records; a layout that names fields picks it.

        Raises:
            RejectError: no decoder recognises them, or several do with the same score.
        """
        names = f"{layout}\n".encode() if layout and " " in layout else b""
        claim = self._choose(Head(uri, names + records))
        self._note(uri, f"{claim.name}: {claim.sniff.why}")
        return self._decoder(claim)

    def is_record(self, value: Mapping[str, Any]) -> bool:
        """Return whether a decoder recognises a JSON object as a record."""
        return bool(self._claims(Head("", as_json(value))))

    def decode(self, block: Delegated) -> Decoded:
        """Turn a block into rows and rejects by the decoder that cut it."""
        return block.decoder.decode(block.block)

    def choices(self) -> dict[str, str]:
        """Return which decoder was chosen for each object, and why; the first hundred by name."""
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
        data = first_bytes(payload)
        columns = _parquet_columns(payload) if data.startswith(PARQUET_MAGIC) else None
        return Head(payload.uri, data, columns)

    def _refuse_broken(self, payload: Payload) -> None:
        """Raise an error if an object that looks empty is broken, or goes on after many blanks."""
        inflater = Inflater(payload.open, self.context.limits, payload.uri)
        if any(piece.strip(_BLANK) for piece in inflater.chunks()):
            raise RejectError(
                f"{payload.uri}: the first {HEAD_BYTES} bytes are blank",
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
                f"{head.uri}: no decoder recognises this object; it begins with {_shown(head)}",
                code="unknown_format",
                hint=(
                    "name the decoder instead of `auto`; for AWS text logs without a header line, "
                    "name the fields as well: "
                    "decoder: {type: aws_vpc, format: '${version} ${srcaddr} ...'}"
                ),
            )
        best = claims[0].sniff.score
        tied = [claim for claim in claims if claim.sniff.score == best]
        if len(tied) > 1:
            seen = "; ".join(f"{claim.name}: {claim.sniff.why}" for claim in tied)
            raise RejectError(
                f"{head.uri}: {len(tied)} decoders recognise this object with the same score ({seen})",
                code="ambiguous_format",
                hint="name the decoder in the pipeline, or list candidates: "
                f"decoder: {{type: auto, candidates: [{tied[0].name}]}}",
            )
        return claims[0]

    def _claims(self, head: Head) -> list[_Claim]:
        registry = self.context.registry
        if registry is None:
            raise ConfigError("the auto decoder needs a registry of decoders")
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
        """Return a decoder with the options of a claim; each is built once."""
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
        """Return the options with `format`, unless it names no field of this log."""
        assert self.context.registry is not None
        raw = {"type": name, "format": self.config.format, **options}
        try:
            return self.context.registry.config("decoder", raw)
        except ConfigError:
            return config


def _with_format(head: Head, text: str) -> Head | None:
    """Return the first bytes with the configured format before them, as a header line.

    None if the first line is not JSON and has not as many fields (or one more, a time).
    """
    names = text.replace("${", " ").replace("}", " ").replace(",", " ").encode().split()
    line = head.data.lstrip().partition(b"\n")[0]
    if not line.startswith(b"{") and len(line.split()) - len(names) not in (0, 1):
        return None
    return Head(head.uri, b" ".join(names) + b"\n" + head.data)


def _parquet_columns(payload: Payload) -> tuple[str, ...]:
    """Return the names of the columns; none if the file is damaged, which its decoder will report."""
    import pyarrow.parquet as pq

    try:
        with payload.random_access() as stream:
            return tuple(pq.read_schema(stream).names)
    except UNREADABLE_PARQUET:
        return ()


def _shown(head: Head) -> str:
    if head.columns is not None:
        names = ", ".join(head.columns[:8])
        return f"Parquet columns {names}" if names else "an unreadable Parquet file"
    line = head.data.lstrip().partition(b"\n")[0]
    return repr(line[:_SHOWN_BYTES])[1:] + ("..." if len(line) > _SHOWN_BYTES else "")
