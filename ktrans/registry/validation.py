"""Validates the raw options of components, and describes the problems for users.

The texts of pydantic are never shown: they quote the input, secrets included, and are written for
programmers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from ktrans.api.config import ComponentConfig
from ktrans.api.errors import ConfigError, KtransError
from ktrans.registry.options import unit_of
from ktrans.registry.redaction import learn_secrets, secrets_of
from ktrans.registry.suggest import listed, near
from ktrans.registry.values import Resolved, is_secret, plain, scrub, secret_values
from ktrans.registry.wording import an, expectation, say

if TYPE_CHECKING:
    from ktrans.api.spec import Kind, Spec

Path = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


class Components(Protocol):
    """The part of the catalogue that validation needs."""

    def specs(self, kind: Kind) -> list[Spec]:
        """List the usable components of a kind."""
        ...

    def model(self, kind: Kind, name: str) -> type[ComponentConfig]:
        """Import the config model of a component."""
        ...


class Problem(msgspec.Struct, frozen=True):
    """A problem of a part of the configuration.

    Attributes:
        path: from the root of the part to the wrong key or item, or to the missing key.
        at: whether the message points at the key or at the value.
        secret: whether the value must not be shown.
        meant: the known option that is nearest to an unknown key.
    """

    path: Path
    code: str
    message: str
    hint: str | None = None
    at: Literal["key", "value"] = "value"
    secret: bool = False
    meant: str | None = None

    def below(self, prefix: Path) -> Problem:
        """Return the problem with a longer path, seen from the parent."""
        return msgspec.structs.replace(self, path=(*prefix, *self.path))

    def error(self) -> ConfigError:
        """Return the problem as an exception, with the path as a dotted field."""
        field = ".".join(str(part) for part in self.path) or None
        return ConfigError(self.message, code=self.code, hint=self.hint, field=field)


def validate_component(
    catalogue: Components, kind: Kind, raw: Any, *, also: Mapping[str, str] | None = None
) -> tuple[ComponentConfig | None, list[Problem]]:
    """Validate a raw mapping with `type` by the component's model, nested components first.

    `also` has options that are not in the model, for "did you mean".

    Returns:
        The config, or None and the problems.
    """
    known = [spec.type for spec in catalogue.specs(kind)]
    example = f"for example {{type: {known[0] if known else '...'}}}"
    if not isinstance(raw, dict):
        hint = f"write {{type: {raw}}}" if isinstance(raw, str) and raw in known else example
        message = f"{an(kind)} must be a mapping with `type`, not {say(raw)}"
        return None, [Problem((), "wrong_type", message, hint)]
    name = raw.get("type")
    if name is None:
        hint = f"{example}; installed {kind}s: {listed(known)}"
        return None, [Problem(("type",), "missing_type", f"this {kind} has no `type`", hint)]
    if isinstance(name, Resolved) or not isinstance(name, str):
        hint = f"installed {kind}s: {listed(known)}"
        message = f"the `type` of {an(kind)} must be a text without references"
        return None, [Problem(("type",), "wrong_type", message, hint)]
    try:
        model = catalogue.model(kind, name)
    except KtransError as error:
        return None, [Problem(("type",), error.code, error.message, error.hint)]
    options = dict(raw)
    problems: list[Problem] = []
    for field, nested_kind in model.nested.items():
        if field not in options:
            default = model.model_fields[field].default
            if type(default) is not ComponentConfig:
                continue
            options[field] = {"type": default.type}  # a default that says no more than its type
        if options[field] is None or isinstance(options[field], ComponentConfig):
            continue
        config, wrong = validate_component(catalogue, nested_kind, options[field])
        problems += [problem.below((field,)) for problem in wrong]
        options[field] = config
    failed = {problem.path[0] for problem in problems}
    config, wrong = validate_model(model, options, f"{kind} {name}", also=also)
    problems += [problem for problem in wrong if not problem.path or problem.path[0] not in failed]
    return (None, problems) if problems else (config, [])


def validate_model(
    model: type[M], raw: dict[str, Any], owner: str, *, also: Mapping[str, str] | None = None
) -> tuple[M | None, list[Problem]]:
    """Validate options by a model.

    Values may be models already. `owner` is for messages: "sink file", "section engine".
    """
    learn_secrets(secret_values(model, raw))
    try:
        config = model.model_validate(plain(raw))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    else:
        learn_secrets(secrets_of(config))
        return config, []
    wrong: dict[Path, list[Mapping[str, Any]]] = {}
    for detail in details:
        wrong.setdefault(_path(detail["loc"], raw, detail["type"]), []).append(detail)
    options = [info.alias or name for name, info in model.model_fields.items()]
    options += also or ()
    problems = [_problem(model, raw, owner, options, path, group) for path, group in wrong.items()]
    meant = {(*problem.path[:-1], problem.meant) for problem in problems if problem.meant}
    return None, [p for p in problems if p.code != "missing_option" or p.path not in meant]


def _path(loc: tuple[str | int, ...], raw: Any, code: str) -> Path:
    """Remove the parts of a pydantic path that are not in the file, such as union members."""
    path: list[str | int] = []
    node = raw
    for place, part in enumerate(loc):
        inside = (isinstance(node, dict) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        )
        if inside:
            node = node[part]
            path.append(part)
        elif code == "missing" and place == len(loc) - 1:
            path.append(part)
    return tuple(path)


def _problem(
    model: type[BaseModel],
    raw: dict[str, Any],
    owner: str,
    options: list[str],
    path: Path,
    group: list[Mapping[str, Any]],
) -> Problem:
    name = _dotted(path)
    code = group[0]["type"]
    if code == "extra_forbidden":
        return _unknown(model, raw, owner, options, path)
    if code == "missing":
        info = model.model_fields.get(str(path[-1])) if len(path) == 1 else None
        hint = f"{name}: {info.description}" if info and info.description else None
        return Problem(path, "missing_option", f"{owner} needs the option `{name}`", hint)
    value = _at(raw, path)
    if code in {"value_error", "assertion_error"}:
        text = scrub(str(group[0]["ctx"]["error"]), model, raw).rstrip(".")
        what = f"`{name}` of {owner}" if name else owner
        return Problem(path, "bad_value", f"{what}: {text}")
    info = model.model_fields.get(str(path[0])) if len(path) == 1 else None
    unit = unit_of(info) if info else None
    hidden = isinstance(value, Resolved) or _secret_at(model, path)
    expected = " or ".join(dict.fromkeys(expectation(detail, unit) for detail in group))
    message = f"`{name}` of {owner} must be {expected}"
    hint = None
    if isinstance(value, Resolved):
        message += f", and {say(value)} is not"
    elif not hidden:
        message += f", not {say(value)}"
        hint = _hint(value, group)
    return Problem(path, "wrong_value", message, hint, secret=hidden)


def _unknown(
    model: type[BaseModel], raw: dict[str, Any], owner: str, options: list[str], path: Path
) -> Problem:
    name = str(path[-1])
    if len(path) > 1:
        owner = f"`{_dotted(path[:-1])}` of {owner}"
        options = _options_at(model, path[:-1])
    meant = near(name, [option for option in options if option not in raw] or options)
    hint = f"the options are: {listed(options)}" if options else None
    if meant:
        hint = f"did you mean `{meant}`? {hint}"
    info = model.model_fields.get(meant or "")
    secret = info is not None and is_secret(info.annotation)
    message = f"{owner} has no option `{name[:64]}`"
    return Problem(path, "unknown_option", message, hint, at="key", secret=secret, meant=meant)


def _hint(value: Any, group: list[Mapping[str, Any]]) -> str | None:
    code = group[0]["type"]
    if code == "literal_error" and isinstance(value, str):
        choices = [part.strip("'") for part in _choices(group[0]["ctx"]["expected"])]
        meant = near(value, choices)
        return f"did you mean {meant}?" if meant else None
    if code == "string_type" and isinstance(value, bool | int | float):
        return "put it in quotes to make it text"
    if code == "string_type" and isinstance(value, dict) and set(value.values()) == {None}:
        return "put text that begins with { in quotes"
    if code in {"list_type", "tuple_type"} and isinstance(value, str):
        return "write a list, even of one: [...]"
    return None


def _choices(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(", ")


def _options_at(model: type[BaseModel], path: Path) -> list[str]:
    from ktrans.registry.values import model_of

    inner: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        info = inner.model_fields.get(part) if inner else None
        inner = model_of(info.annotation) if info else None
    return list(inner.model_fields) if inner else []


def _secret_at(model: type[BaseModel], path: Path) -> bool:
    info = model.model_fields.get(str(path[0])) if path else None
    return info is not None and is_secret(info.annotation)


def _at(raw: Any, path: Path) -> Any:
    for part in path:
        raw = raw[part]
    return raw


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
