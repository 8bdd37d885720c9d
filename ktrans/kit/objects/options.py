"""The options of sources of objects."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ktrans.api import ComponentConfig
from ktrans.kit.objects.days import check_template
from ktrans.kit.time_range import TimeRange
from ktrans.kit.units import Duration, Size

_Text = Annotated[str, Field(min_length=1)]


class ObjectReadConfig(ComponentConfig):
    """Options of everything that reads objects."""

    include: list[_Text] = Field(
        default=[],
        description="Globs of keys to read; everything if empty. Without a slash they are compared"
        " with the last part of the key, with one with the whole key. `*` crosses slashes.",
        examples=[["*.log.gz", "*.log.parquet"]],
    )
    exclude: list[_Text] = Field(
        default=[],
        description="Globs of keys to skip, compared likewise.",
        examples=[["*_manifest", "*/sandbox/*"]],
    )
    part_size: Size = Field(
        default=8 << 20,
        ge=1 << 16,
        description="Larger objects are read in parts of this size, side by side.",
        examples=[16 << 20],
    )
    parallel_reads: int = Field(
        default=8,
        ge=1,
        le=256,
        description="How many requests run at a time, to list and to read.",
        examples=[16],
    )
    slow_read_after: Duration = Field(
        default=300,
        gt=0,
        description="A part that takes longer is requested again, from the byte that it has"
        " reached.",
        examples=[60],
    )

    def includes(self, key: str) -> bool:
        """Return whether `include` and `exclude` let an object in."""

        def matches(glob: str) -> bool:
            return fnmatchcase(key if "/" in glob else key.rpartition("/")[2], glob)

        included = not self.include or any(map(matches, self.include))
        return included and not any(map(matches, self.exclude))


class ObjectSourceConfig(ObjectReadConfig, TimeRange):
    """Options of all sources that list objects.

    Empty objects are skipped, and so are those that this pipeline itself has written.
    """

    prefix: str | Annotated[list[str], Field(min_length=1)] = Field(
        default="",
        description="What the keys begin with, one or a list; none may be the beginning of another.",
        examples=["AWSLogs/", ["AWSLogs/123456789012/", "exports/"]],
    )
    layout: str = Field(
        default="auto",
        description="How objects are filed by day, so that only the days that matter are listed:"
        " `auto` looks for folders such as 2026/11/05/ or year=2026/month=11/day=05/, `plain` lists"
        " everything below the prefix each time, and a template below the prefix says where the days"
        " are (`*` stands for one folder).",
        examples=["auto", "plain", "*/vpcflowlogs/*/%Y/%m/%d/"],
    )
    lookback: Duration = Field(
        default=86_400,
        gt=0,
        description="How late an object may arrive, counted from its last change and from the end"
        " of its day. What was read is remembered for as long. Longer costs more listing and a"
        " larger state.",
        examples=[21_600, 259_200],
    )
    min_age: Duration = Field(
        default=0,
        ge=0,
        description="An object that was changed less than this long ago is read later.",
        examples=[60],
    )
    on_replaced: Literal["reread", "skip", "error"] = Field(
        default="reread",
        description="What to do with an object that was read before, within the look-back, and now"
        " has other content: read it again, leave it, or stop the run.",
        examples=["skip"],
    )

    @field_validator("layout")
    @classmethod
    def _layout(cls, value: str) -> str:
        if value not in ("auto", "plain"):
            check_template(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.lookback <= self.min_age:
            raise ValueError("lookback has to be longer than min_age")
        prefixes = sorted(self.prefixes)
        for one, other in pairwise(prefixes):
            if other.startswith(one):
                raise ValueError(f"prefix {other!r} is within {one!r}")
        return self

    @property
    def prefixes(self) -> list[str]:
        """The prefixes, as a list."""
        return [self.prefix] if isinstance(self.prefix, str) else self.prefix
