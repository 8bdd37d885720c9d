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

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, create_model

from ktrans.api import Head, Sniff
from ktrans.decoders.aws.decoder import AwsDecoder, AwsTextConfig
from ktrans.decoders.aws.layout import Dialect


@dataclass(frozen=True, kw_only=True, eq=False)
class TextLog(Dialect):
    """A text log in the format of AWS.

    Attributes:
        sniff: makes a claim on an object by its first bytes.
    """

    sniff: Callable[[Head, Dialect], Sniff | None]

    @cached_property
    def config(self) -> type[AwsTextConfig]:
        """The model of the decoder's options."""
        only: Any = Literal[self.name]
        of_type = Field(
            default=self.name, description="Which component this is.", examples=[self.name]
        )
        model = create_model(
            f"{self._class_name}Config",
            __base__=AwsTextConfig,
            __doc__=f"Options of the `{self.name}` decoder.",
            type=(only, of_type),
        )
        model.dialect = self
        return model

    @cached_property
    def decoder(self) -> type[AwsDecoder[Any]]:
        """The class of the decoder."""
        members = {"__doc__": f"Decodes records of {self.name}.", "dialect": self}
        return type(self._class_name, (AwsDecoder,), members)

    @property
    def _class_name(self) -> str:
        return f"{self.name.title().replace('_', '')}Decoder"

    def recognise(self, head: Head) -> Sniff | None:
        """Make a claim on an object."""
        return self.sniff(head, self)
