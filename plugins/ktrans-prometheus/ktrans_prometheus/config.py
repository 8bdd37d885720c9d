"""Options of the `prometheus` sink."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from ktrans.kit.http.options import LoginConfig, http_url

METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class PrometheusSinkConfig(LoginConfig, type="prometheus"):
    """Options of the `prometheus` sink."""

    url: str = Field(
        description="Where remote writes go, with the path.",
        examples=["http://prometheus:9090/api/v1/write", "https://mimir.example/api/v1/push"],
    )
    prefix: str = Field(
        "traffic_",
        description="What the names of metrics begin with; the name of the total follows.",
        examples=["traffic_", "vpc_"],
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels that all series get, beside those of the rollup's `group_by`.",
        examples=[{"job": "ktrans", "env": "prod"}],
    )
    time: Literal["window_end", "window_start"] = Field(
        "window_end",
        description="The time of a sample. With `window_end`, a range such as `[1h]` at a full hour has"
        " exactly the windows of that hour.",
        examples=["window_end"],
    )
    batch_rows: int = Field(
        500, ge=1, le=500, description="Maximum rows of a request.", examples=[500]
    )
    max_series: int | None = Field(
        1_000_000,
        ge=1,
        description="Maximum number of series (distinct combinations of labels) of a run, for each"
        " metric. A run that would exceed it stops; null turns the check off.",
        examples=[1_000_000, None],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value, query=True)

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if value and not METRIC.fullmatch(value):
            raise ValueError(f"{value!r} cannot begin the name of a metric")
        return value

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not LABEL.fullmatch(name) or name.startswith("__"):
                raise ValueError(f"{name!r} is not the name of a label")
        return value
