"""Components that exist only for these tests, and a catalogue that has them."""

from __future__ import annotations

import sys
import types
from typing import ClassVar, Literal

import pytest
from pydantic import Field, SecretStr, field_validator

from ktrans.api import Component, ComponentConfig, Spec, hookimpl
from ktrans.registry.builtin import STATES
from ktrans.registry.catalogue import Catalogue

MODULE = "ktrans_test_parts"


class ShopConfig(ComponentConfig, type="shop"):
    """A source with one of everything."""

    paths: list[str] = Field(description="Where to look.", examples=[["logs/"]])
    depth: int = Field(default=3, ge=0, le=9, description="How deep.", examples=[3])
    ratio: float = Field(default=0.5, description="How much.", examples=[0.5])
    strict: bool = Field(default=False, description="How strict.", examples=[True])
    order: Literal["name", "time"] = Field(default="name", description="Order.", examples=["time"])
    token: SecretStr | None = Field(default=None, description="A secret.", examples=["${env:T}"])
    region: str = Field(default="here", description="Where.", examples=["there"])

    @field_validator("region")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == "nowhere" or value.startswith("bad"):
            raise ValueError(f"there is no region {value}.")
        return value


class PackConfig(ComponentConfig, type="pack"):
    level: int | None = Field(default=None, description="How tight.", examples=[1])


class BoxConfig(ComponentConfig, type="box"):
    nested: ClassVar = {"format": "format"}
    path: str = Field(description="Where to put it.", examples=["out/"])
    format: ComponentConfig = Field(
        default=PackConfig(), description="How rows look.", examples=[{"type": "pack"}]
    )


class TrimConfig(ComponentConfig, type="trim"):
    rename: dict[str, str] = Field(default={}, description="Names.", examples=[{"a": "b"}])


class AutoConfig(ComponentConfig, type="auto"):
    pass


class Part(Component):
    """Does nothing."""


def _spec(kind: str, name: str, config: str) -> Spec:
    return Spec(
        kind=kind,
        type=name,
        build=f"{MODULE}:Part",
        config=f"{MODULE}:{config}",
        summary=f"A {name}",
    )


@hookimpl
def ktrans_components() -> list[Spec]:
    return [
        _spec("source", "shop", "ShopConfig"),
        _spec("decoder", "auto", "AutoConfig"),
        _spec("enricher", "trim", "TrimConfig"),
        _spec("format", "pack", "PackConfig"),
        _spec("format", "jsonl", "JsonlConfig"),
        _spec("sink", "box", "BoxConfig"),
        _spec("sink", "file", "FileConfig"),
        *STATES,
    ]


class JsonlConfig(ComponentConfig, type="jsonl"):
    pass


class FileConfig(ComponentConfig, type="file"):
    nested: ClassVar = {"format": "format"}
    path: str = Field(description="Where to.", examples=["out/"])
    format: ComponentConfig = Field(description="How.", examples=[{"type": "pack"}])


@hookimpl
def ktrans_resolve_secret(scheme: str, ref: str) -> str | None:
    if scheme == "broken":
        raise RuntimeError("the vault is shut")
    return f"secret of {ref}" if scheme == "vault" else None


@pytest.fixture
def catalogue(monkeypatch):
    parts = types.ModuleType(MODULE)
    for name, value in globals().items():
        if not name.startswith("__"):
            setattr(parts, name, value)
    monkeypatch.setitem(sys.modules, MODULE, parts)
    return Catalogue(environ={}, entry_points=[], extra={"parts": parts})


@pytest.fixture
def write(tmp_path):
    """Write a pipeline file and give its path."""

    def write(text: str, name: str = "demo.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
