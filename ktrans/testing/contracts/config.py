"""Checks of the options of components of every kind."""

from __future__ import annotations

import json
import warnings
from typing import Any

from pydantic import BaseModel, SecretStr

from ktrans.api import ComponentConfig


def check_config(config: Any) -> None:
    """Check what the reference page, `ktrans schema` and the state store need of options."""
    assert isinstance(config, ComponentConfig)
    model = type(config)
    assert model.__doc__, "the options' class has no docstring"
    for name, option in model.model_fields.items():
        if name == "type" and option.annotation is str:
            continue  # not narrowed: options that others are built on
        assert option.description, f"{name} has no description"
        assert option.examples, f"{name} has no example"
    plain = config.model_dump(warnings=False)
    assert _read(model, config, plain) == config, "the options do not survive a round trip"
    text = json.dumps(config.model_dump(mode="json", warnings=False))
    assert _read(model, config, json.loads(text)) == config, "nor one through JSON"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # defaults that JSON cannot say
        assert model.model_json_schema()["properties"]


def _read(model: type[ComponentConfig], config: ComponentConfig, values: dict[str, Any]) -> Any:
    """Validate written options, adding those that are not written (secrets, nested components).

    A nested component has a model of its own, which the loader validates first.
    """
    kept = {name: getattr(config, name) for name in model.nested if name in model.model_fields}
    return model.model_validate(_with_secrets(config, values) | kept)


def _with_secrets(config: Any, values: dict[str, Any]) -> dict[str, Any]:
    restored = dict(values)
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, SecretStr):
            restored[name] = value
        elif isinstance(value, BaseModel) and isinstance(values.get(name), dict):
            restored[name] = _with_secrets(value, values[name])
    return restored
