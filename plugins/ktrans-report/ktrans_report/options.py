"""The options of the command line, checked: period, prices, expected accounts and interfaces."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ktrans.api import ConfigError, UsageError


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per GB (10^9 bytes) by kind of path; None where no price was given."""

    internet: float | None = None
    zone: float | None = None
    region: float | None = None

    def __post_init__(self) -> None:
        """Check that prices are finite numbers."""
        for name, price in asdict(self).items():
            if price is not None and not math.isfinite(price):
                raise UsageError(f"--price-{name}: {price} is not a price")

    def __bool__(self) -> bool:
        """Return whether there is a price."""
        return self != Prices()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a report; times are microseconds since 1970, UTC."""

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
        """Check that the period is not empty."""
        if self.start_us is not None and self.end_us is not None and self.start_us >= self.end_us:
            raise UsageError(
                "the period is empty: --from is not before --to",
                hint="--to is the first moment after the period",
            )

    def expected(self) -> dict[str, list[str]]:
        """Read the accounts and interfaces that should have rows.

        Raises:
            ConfigError: the file cannot be read, or has another content.
        """
        if self.expect is None:
            return {}
        found = _yaml(self.expect)
        if not isinstance(found, dict):
            raise ConfigError(f"{self.expect} is not a mapping", code="bad_table", hint=_EXPECTED)
        for name, value in found.items():
            if name not in {"accounts", "interfaces"} or not isinstance(value, list):
                raise ConfigError(
                    f"{self.expect}: {name!r} is not a list of accounts or interfaces",
                    code="bad_table",
                    hint=_EXPECTED,
                )
            for one in value:
                if not isinstance(one, str):
                    raise ConfigError(
                        f"{self.expect}: {one!r} in {name} is not text",
                        code="bad_table",
                        hint="put quotes around it: a number loses its leading zeros",
                    )
        return found


def moment(text: str | None, option: str) -> int | None:
    """Parse a time of the command line as microseconds since 1970; UTC if it has no offset.

    Raises:
        UsageError: it is not a time.
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


_EXPECTED = 'write accounts: ["111122223333"] and interfaces: [eni-0a1b]'


def _yaml(path: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}", code="table_unreadable"
        ) from None
    except (UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{path}: {error}", code="bad_table") from None
