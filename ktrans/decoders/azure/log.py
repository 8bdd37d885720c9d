"""Declarations of Azure flow logs: their options, decoder and sniffing follow from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktrans.api import ComponentConfig, Decoder, Head, Sniff
from ktrans.decoders.azure.decoder import AzureDecoder, sniff_azure
from ktrans.decoders.azure.records import Kind
from ktrans.decoders.declared import DeclaredLog


@dataclass(frozen=True, kw_only=True, eq=False)
class AzureLog(DeclaredLog):
    """A flow log of Azure.

    Attributes:
        name: the decoder's type.
        kind: the layout of tuples in records that do not name theirs.
    """

    name: str
    kind: Kind

    def bases(self) -> tuple[type[ComponentConfig], type[Decoder[Any]]]:
        """Return the options, and the class that reads such logs."""
        return ComponentConfig, AzureDecoder

    def members(self) -> Mapping[str, Any]:
        """Return the kind."""
        return {"kind": self.kind}

    def recognise(self, head: Head) -> Sniff | None:
        """Make a claim on an object by its first bytes."""
        return sniff_azure(head, self.kind)
