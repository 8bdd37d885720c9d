"""The `hash_addresses` enricher: replaces addresses by keyed hashes.

A keyed BLAKE2b (RFC 7693) hash: without the salt, addresses cannot be found by trying all of them,
which for IPv4 takes minutes with a plain hash.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence

import pyarrow as pa
from pydantic import Field, SecretStr

from ktrans.api import ComponentConfig
from ktrans.flow.addresses import pack_ipv6
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import distinct, option, require, require_text, text_field

ADDRESSES = ("src_addr", "dst_addr", "src_pkt_addr", "dst_pkt_addr")


class HashAddressesEnricherConfig(ComponentConfig, type="hash_addresses"):
    """Replaces addresses by tokens: the same address and salt give the same token in every run."""

    salt: SecretStr = Field(
        min_length=16,
        description="The secret key, at least 16 characters. With it the hashing can be undone.",
        examples=["${file:/run/secrets/ktrans-salt}"],
    )
    columns: list[str] = Field(
        default=list(ADDRESSES),
        min_length=1,
        description="The columns to replace; of the default ones those that are there.",
        examples=[["src_addr", "dst_addr"]],
    )
    hash_bytes: int = Field(
        16,
        ge=8,
        le=32,
        description="Length of the hash; as text it is twice as long.",
        examples=[16],
    )
    keep_prefix: bool = Field(
        False,
        description=(
            "Keep the network part readable: 10.1.2.3 becomes 10.1.2.0/24-<hash>, "
            "IPv6 keeps 48 bits."
        ),
        examples=[True],
    )


class HashAddressesEnricher(ColumnEnricher[HashAddressesEnricherConfig]):
    """Replaces addresses by keyed hashes."""

    _columns: Sequence[str] = ()

    def reads(self) -> Sequence[str]:
        """Name the columns that the config names; the default ones need not exist."""
        return self.config.columns if "columns" in self.config.model_fields_set else ()

    def columns(self) -> dict[str, pa.Field]:
        """Name the columns to replace."""
        return {name: text_field(name, f"Keyed hash of {name}") for name in self._columns}

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns."""
        with option("columns"):
            require(schema, self.reads(), "hash_addresses")
        self._columns = [name for name in self.config.columns if name in schema.names]
        require_text(schema, self._columns, "hash_addresses")
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Replace the distinct values of each column."""
        return {name: self._hashed(batch.column(name)) for name in self._columns}

    def _hashed(self, array: pa.Array) -> pa.Array:
        values, indices = distinct(array)
        key = hashlib.blake2b(self.config.salt.get_secret_value().encode()).digest()
        tokens = [None if text is None else self._token(text, key) for text in values.to_pylist()]
        # Two spellings of one IPv6 address have one token, which the dictionary holds once.
        encoded = pa.array([*tokens, None], pa.string()).dictionary_encode()
        codes = encoded.indices.take(pa.array(indices))
        return pa.DictionaryArray.from_arrays(codes, encoded.dictionary)

    def _token(self, text: str, key: bytes) -> str:
        packed = pack_ipv6(text) if ":" in text else None
        plain = text.encode() if packed is None else str(ipaddress.IPv6Address(packed)).encode()
        digest = hashlib.blake2b(plain, key=key, digest_size=self.config.hash_bytes).hexdigest()
        return f"{_network(text)}-{digest}" if self.config.keep_prefix else digest


def _network(text: str) -> str:
    """Return the address's /24 or /48; `unknown` if it is not an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    length = 24 if address.version == 4 else 48  # noqa: PLR2004 - IPv4
    return str(ipaddress.ip_network((address, length), strict=False))
