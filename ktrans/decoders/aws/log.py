"""Declarations of text logs in the format of AWS: their options, decoder and sniffing follow from one.

LOG = TextLog(
name="acme_vpc",
log_type="acme.vpc",
provider="acme",
fields=(Field("version", "small", "log_version"), Field("srcaddr", "address", "src_addr"), ...),
default=("version", "srcaddr", ...),
guess=...,
guess_fields=("version",),
sniff=...,
)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ktrans.api import ComponentConfig, Decoder, Head, Sniff
from ktrans.decoders.aws.decoder import AwsDecoder, AwsTextConfig
from ktrans.decoders.aws.layout import Dialect
from ktrans.decoders.declared import DeclaredLog


@dataclass(frozen=True, kw_only=True, eq=False)
class TextLog(Dialect, DeclaredLog):
    """A text log in the format of AWS.

    Attributes:
        sniff: makes a claim on an object by its first bytes.
    """

    sniff: Callable[[Head, Dialect], Sniff | None]

    def bases(self) -> tuple[type[ComponentConfig], type[Decoder[Any]]]:
        """Return the options of text logs, and the class that reads them."""
        return AwsTextConfig, AwsDecoder

    def members(self) -> Mapping[str, Any]:
        """Return the dialect, by which options are checked and lines read."""
        return {"dialect": self}

    def recognise(self, head: Head) -> Sniff | None:
        """Make a claim on an object."""
        return self.sniff(head, self)
