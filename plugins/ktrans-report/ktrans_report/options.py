"""The options of the command line, checked: period, prices, expected accounts and interfaces."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ktrans.api import ConfigError, UsageError
from ktrans.kit.units import format_size, parse_size

LEAST_MEMORY = 128 << 20
_EXPECTED = """write accounts: ["111122223333"] and interfaces: [eni-0a1b]; an account without quotes \
is a number and loses its leading zeros"""


class Expected(BaseModel):
    """The accounts and interfaces that should have rows."""

    model_config = ConfigDict(extra="forbid", strict=True)
    accounts: list[str] = []
    interfaces: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a report; times are microseconds since 1970, UTC, prices USD per 10^9 bytes."""

    places: tuple[str, ...] = ()
    receipt: str | None = None
    sink: str | None = None
    iceberg: str | None = None
    catalog: str | None = None
    title: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    top: int = 12
    all_reports: bool = False
    expect: str | None = None
    price_internet: float | None = None
    price_zone: float | None = None
    price_region: float | None = None
    endpoint: str | None = None
    memory: int = 1 << 30

    def __post_init__(self) -> None:
        """Check that prices are finite numbers, and that the period is not empty."""
        for name in ("internet", "zone", "region"):
            price = getattr(self, f"price_{name}")
            if price is not None and not math.isfinite(price):
                raise UsageError(f"--price-{name}: {price} is not a price")
        if self.start_us is not None and self.end_us is not None and self.start_us >= self.end_us:
            raise UsageError(
                "the period is empty: --from is not before --to",
                hint="--to is the first moment after the period",
            )

    def expected(self) -> Expected:
        """Read the accounts and interfaces that should have rows.

        Raises:
            ConfigError: the file cannot be read, or has another content.
        """
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        if self.expect is None:
            return Expected()
        try:
            return Expected.model_validate(
                YAML(typ="safe").load(Path(self.expect).read_text("utf-8"))
            )
        except OSError as error:
            raise ConfigError(
                f"cannot read {self.expect}: {error.strerror or error}", code="table_unreadable"
            ) from None
        except (UnicodeDecodeError, YAMLError, ValidationError) as error:
            raise ConfigError(f"{self.expect}: {error}", code="bad_table", hint=_EXPECTED) from None


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


def memory(text: str) -> int:
    """Parse the memory limit of the command line into bytes.

    Raises:
        UsageError: it is not a size, or too small.
    """
    try:
        size = parse_size(text)
    except ValueError:
        raise UsageError(f"--memory: {text!r} is not a size", hint="for example 2 GB") from None
    if size < LEAST_MEMORY:
        raise UsageError(f"--memory must be at least {format_size(LEAST_MEMORY)}, not {text}")
    return size
