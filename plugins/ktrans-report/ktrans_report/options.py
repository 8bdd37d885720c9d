"""What the command line asked for, checked: times, prices, what coverage is expected."""

from __future__ import annotations

import datetime as dt
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ktrans.api import ConfigError, UsageError


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per GB (10^9 bytes) by kind of path; None where no price was given."""

    internet: float | None = None
    zone: float | None = None
    region: float | None = None

    def __bool__(self) -> bool:
        """Tell whether anything has a price."""
        return any(price is not None for price in (self.internet, self.zone, self.region))

    @classmethod
    def of(
        cls, file: str | None, internet: float | None, zone: float | None, region: float | None
    ) -> Self:
        """Take the prices of a file, and those of the command line before them.

        Raises:
            ConfigError: the file cannot be read, or holds anything but prices.
            UsageError: a price of the command line is no number.
        """
        given: dict[str, float | None] = {"internet": internet, "zone": zone, "region": region}
        for name, value in given.items():
            if value is not None and not math.isfinite(value):
                raise UsageError(f"--price-{name}: {value} is not a price")
        table = {} if file is None else _mapping(file, "a price table")
        for name, value in table.items():
            if name not in given:
                raise ConfigError(
                    f"{file}: {name!r} means nothing in a price table",
                    code="bad_table",
                    hint=f"it has {', '.join(given)}: USD per GB",
                )
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise ConfigError(f"{file}: {name} is not a price: {value!r}", code="bad_table")
            if given[name] is None:
                given[name] = float(value)
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to report on, and how; times are microseconds since 1970, UTC."""

    places: tuple[str, ...] = ()
    receipt: str | None = None
    sink: str | None = None
    title: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    top: int = 12
    all_reports: bool = False
    expect: str | None = None
    prices: Prices = field(default_factory=Prices)
    endpoint: str | None = None
    memory_mb: int = 1024

    def __post_init__(self) -> None:
        """See to it that the period has a length."""
        if self.start_us is not None and self.end_us is not None and self.start_us >= self.end_us:
            raise UsageError(
                "the period is empty: --from is not before --to",
                hint="--to is the first moment that does not count any more",
            )

    def expected(self) -> dict[str, list[str]]:
        """Read which accounts and interfaces should have rows.

        Raises:
            ConfigError: the file cannot be read or is made otherwise.
        """
        if self.expect is None:
            return {}
        found = _mapping(self.expect, "a list of what to expect")
        for name, value in found.items():
            if name not in {"accounts", "interfaces"} or not isinstance(value, list):
                raise ConfigError(
                    f"{self.expect}: {name!r} is no list of accounts or interfaces",
                    code="bad_table",
                    hint='write accounts: ["111122223333"] and interfaces: [eni-0a1b]',
                )
            for one in value:
                if not isinstance(one, str):
                    raise ConfigError(
                        f"{self.expect}: {one!r} in {name} is not text",
                        code="bad_table",
                        hint="put quotes around it: a number may lose its leading zeros",
                    )
        return dict(found)


def moment(text: str | None, option: str) -> int | None:
    """Read a time of the command line as microseconds since 1970; UTC unless it says otherwise.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: {text!r} is not a time", hint="for example 2026-05-04 or 2026-05-04T08:00Z"
        ) from None
    aware = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    return round(aware.timestamp() * 1_000_000)


def _mapping(path: str, what: str) -> Mapping[str, Any]:
    """Read a small YAML (so also JSON) or TOML file that holds one mapping."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = Path(path).read_text("utf-8")
        found = tomllib.loads(text) if path.endswith(".toml") else YAML(typ="safe").load(text)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}", code="table_unreadable"
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, YAMLError) as error:
        raise ConfigError(f"{path}: {error}", code="bad_table") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is not {what}: it holds no names with values", code="bad_table")
    return {str(name): value for name, value in found.items()}
