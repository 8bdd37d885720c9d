"""The `dns` enricher: the names of addresses."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ktrans.api import ComponentConfig, ConfigError, UnavailableError
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import coded, distinct, option, require_text, side_of, spread, text_field
from ktrans.kit.flow_rules import INSIDE, address_classes, is_class
from ktrans.kit.units import Duration, format_duration
from ktrans_dns import log_events
from ktrans_dns.names import Names
from ktrans_dns.resolver import Resolver, check_servers, server_of


class DnsEnricherConfig(ComponentConfig, type="dns"):
    """Adds the names that DNS has for addresses (PTR), as far as they come in time.

    What is not answered within `wait` stays null, and is there for later rows.
    """

    servers: list[str] = Field(
        default=[],
        description="Addresses of DNS servers, with a port if it is not 53; by default those of the system.",
        examples=[["10.0.0.2", "10.0.0.3:5353"]],
    )
    addresses: list[str] = Field(
        default=["src_addr", "dst_addr"],
        min_length=1,
        description="Address columns to look up.",
        examples=[["src_pkt_addr", "dst_pkt_addr"]],
    )
    private_only: bool = Field(
        True,
        description="Ask only for addresses that are private, shared, unique local or link-local. Who "
        "owns a public address sees who asks for its name.",
        examples=[False],
    )
    wait: Duration = Field(
        1.0,
        ge=0,
        le=60,
        description="How long a batch of rows waits for new names.",
        examples=["200ms"],
    )
    timeout: Duration = Field(
        2.0, gt=0, le=60, description="How long one question may take.", examples=["5s"]
    )
    rate: float = Field(
        100, gt=0, le=100_000, description="Questions a second, at most.", examples=[500]
    )
    parallel: int = Field(
        50, ge=1, le=1000, description="Questions at a time, at most.", examples=[100]
    )
    min_ttl: Duration = Field(
        300.0, ge=0, description="How long an answer is kept at least.", examples=["1h"]
    )
    max_ttl: Duration = Field(
        86_400.0, gt=0, description="How long an answer is kept at most.", examples=["7d"]
    )
    cache: str | None = Field(
        "~/.cache/ktrans",
        min_length=1,
        description="Folder that keeps answers from run to run, in the file dns.sqlite; or null to "
        "keep them in memory.",
        examples=["/var/cache/ktrans"],
    )
    naming: str = Field(
        "{side}_dns",
        description="How to name a new column: {side} is the address column without `_addr`.",
        examples=["{side}_host"],
    )

    @field_validator("servers")
    @classmethod
    def _are_servers(cls, value: list[str]) -> list[str]:
        for text in value:
            server_of(text)
        return value

    @field_validator("naming")
    @classmethod
    def _tells_apart(cls, value: str) -> str:
        if "{side}" not in value:
            raise ValueError("naming has {side}")
        return value

    @model_validator(mode="after")
    def _has_bounds_in_order(self) -> Self:
        if self.min_ttl > self.max_ttl:
            raise ValueError(
                f"min_ttl ({format_duration(self.min_ttl)}) is longer than "
                f"max_ttl ({format_duration(self.max_ttl)})"
            )
        return self


class DnsEnricher(ColumnEnricher[DnsEnricherConfig]):
    """Looks the distinct addresses of each batch up."""

    replaces = ()
    names_option = "naming"
    runs = "here"
    bound_because = "it asks DNS for each name once, and would in each process"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._lock = threading.Lock()
        self._names: Names | None = None

    def reads(self) -> Sequence[str]:
        """Return the address columns."""
        return self.config.addresses

    def columns(self) -> Mapping[str, pa.Field]:
        """Return the new columns."""
        names = {address: self._name(address) for address in self.config.addresses}
        return {
            name: text_field(name, f"{address}: its name in DNS, if it came in time")
            for address, name in names.items()
        }

    def check(self) -> None:
        """Ask a server.

        Raises:
            UnavailableError: none answers.
        """
        wrong = check_servers(self._servers(), self.config.timeout)
        if wrong is not None:
            raise UnavailableError(
                f"dns: no server answers: {wrong}", code="dns_silent", hint="check `servers`"
            )

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Add the columns.

        Raises:
            ConfigError: an address column is missing or not text; a new column exists already.
        """
        with option("addresses"):
            require_text(schema, self.config.addresses, self.config.type)
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> Mapping[str, pa.Array]:
        """Find the names of all columns together, so that a batch waits once."""
        columns = [distinct(batch.column(address)) for address in self.config.addresses]
        asked = [self._asked(values, rows) for values, rows in columns]
        texts = list(dict.fromkeys(text for some in asked for text in some if text is not None))
        found = self._started().find(texts) if texts else {}
        new = {}
        for address, some, (_, rows) in zip(self.config.addresses, asked, columns, strict=True):
            names = pa.array([found.get(text) if text else None for text in some], pa.string())
            encoded = names.dictionary_encode()
            codes = np.asarray(encoded.indices.fill_null(-1))
            new[self._name(address)] = coded(spread(codes, rows), encoded.dictionary)
        return new

    def close(self) -> None:
        """Stop asking."""
        with self._lock:
            names, self._names = self._names, None
        if names is not None:
            names.close()

    def _asked(self, values: pa.Array, rows: np.ndarray) -> list[str | None]:
        """Return the addresses to ask for, None for the other values and those that no row has."""
        classes = address_classes(values)
        wanted = is_class(classes, INSIDE) if self.config.private_only else classes >= 0
        used = np.zeros(len(values) + 1, bool)
        used[rows] = True
        wanted &= used[:-1]
        return [
            text if want else None
            for text, want in zip(values.to_pylist(), wanted.tolist(), strict=True)
        ]

    def _started(self) -> Names:
        with self._lock:
            if self._names is None:
                config = self.config
                resolver = partial(
                    _resolver, config=config, servers=self._servers(), clock=self.context.clock
                )
                self._names = Names(self.context, resolver, self._folder(), config.wait)
            return self._names

    def _folder(self) -> Path | None:
        """Return the folder of the cache; None if there is to be none, or this user has no home folder."""
        if self.config.cache is None or self.context.ephemeral:
            return None
        try:
            return self.context.path(self.config.cache)
        except ConfigError as error:
            self.context.log.warning(
                "dns: the cache on disk cannot be used: %s",
                error.message,
                extra={"event": log_events.DNS_CACHE_UNUSABLE},
            )
            return None

    def _servers(self) -> list[tuple[str, int]]:
        return [server_of(text) for text in self.config.servers]

    def _name(self, address: str) -> str:
        return self.config.naming.replace("{side}", side_of(address))


def _resolver(answered: Any, config: DnsEnricherConfig, servers: Any, clock: Any) -> Resolver:
    return Resolver(
        servers,
        timeout=config.timeout,
        rate=config.rate,
        parallel=config.parallel,
        bounds=(config.min_ttl, config.max_ttl),
        clock=clock,
        answered=answered,
    )
