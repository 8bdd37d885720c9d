"""The base of declared logs: options, a decoder and claims for `auto`, as a Spec refers to them.

A Spec names them as attributes: `build="acme.firewall:LOG.decoder"`, `config="acme.firewall:LOG.config"`,
`sniff="acme.firewall:LOG.recognise"`.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from pydantic import create_model

from ktrans.api import ComponentConfig, Decoder, Head, Sniff


class DeclaredLog(abc.ABC):
    """A log that is declared; a subclass says which decoder reads it.

    Attributes:
        name: the decoder's type.
    """

    name: str

    @cached_property
    def config(self) -> type[ComponentConfig]:
        """The model of the decoder's options."""
        base, _ = self.bases()
        model: Any = create_model(
            f"{self._class_name}Config",
            __base__=base,
            __doc__=f"Options of the `{self.name}` decoder.",
            __cls_kwargs__={"type": self.name},
        )
        for name, value in self.members().items():
            setattr(model, name, value)
        return cast("type[ComponentConfig]", model)

    @cached_property
    def decoder(self) -> type[Decoder[Any]]:
        """The class of the decoder."""
        _, base = self.bases()
        members = {"__doc__": f"Decodes records of {self.name}.", **self.members()}
        return type(self._class_name, (base,), members)

    @property
    def _class_name(self) -> str:
        return f"{self.name.title().replace('_', '')}Decoder"

    @abc.abstractmethod
    def bases(self) -> tuple[type[ComponentConfig], type[Decoder[Any]]]:
        """Return the model of the options besides the type, and the class that reads such logs."""

    @abc.abstractmethod
    def members(self) -> Mapping[str, Any]:
        """Return what both of them know of this log."""

    @abc.abstractmethod
    def recognise(self, head: Head) -> Sniff | None:
        """Make a claim on an object by its first bytes."""
