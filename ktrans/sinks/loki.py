"""Log lines for Grafana Loki and what takes its push API."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ktrans.api import ConfigError, Plain
from ktrans.kit.http.batches import groups_of, text_of
from ktrans.kit.http.events import EventConfig, EventTimes
from ktrans.kit.http.options import HttpLoginConfig, http_url
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.rows.json import check_json, json_piece, object_pieces, quoted, quoted_name
from ktrans.kit.rows.pieces import Piece, joined
from ktrans.kit.rows.scalars import is_scalar, scalar_text
from ktrans.kit.units import Size

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class LokiSinkConfig(EventConfig, HttpLoginConfig, type="loki"):
    """Sends rows as lines of JSON to Grafana Loki, at least once.

    Loki drops a line that it has already: the same text, time and labels. The lines of a request are
    ordered by time in each stream.
    """

    url: str = Field(
        description="URL of Loki, without the path of its push API.",
        examples=["http://loki.example:3100", "http://localhost:9428/insert"],
    )
    tenant: str | None = Field(
        None, min_length=1, description="The tenant (X-Scope-OrgID).", examples=["network"]
    )
    labels: dict[str, str] = Field(
        default_factory=lambda: {"service_name": "ktrans"},
        description="Labels of all lines.",
        examples=[{"service_name": "flow-logs", "env": "prod"}],
    )
    label_columns: tuple[str, ...] = Field(
        (),
        max_length=10,
        description="Columns that become labels. Each combination of values is a stream, of which Loki"
        " can take few: no addresses or ports.",
        examples=[["provider", "account_id", "action"]],
    )
    metadata_columns: tuple[str, ...] = Field(
        (),
        max_length=30,
        description="Columns that are written as structured metadata too, by which lines are found"
        " without parsing.",
        examples=[["src_addr", "dst_addr"]],
    )
    batch_size: Size = Field(
        1_000_000,
        ge=1024,
        le=256 << 20,
        description="Maximum size of a request, before compression.",
        examples=[1_000_000],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value)

    @field_validator("labels", "label_columns")
    @classmethod
    def _names(cls, value: dict[str, str] | tuple[str, ...]) -> dict[str, str] | tuple[str, ...]:
        for name in value:
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a label: letters, digits and _")
        return value

    @model_validator(mode="after")
    def _some_label(self) -> LokiSinkConfig:
        if not self.labels:
            raise ValueError("Loki needs a label that each line has: name one in `labels`")
        twice = self.labels.keys() & set(self.label_columns)
        if twice:
            raise ValueError(f"`labels` and `label_columns` both have {min(twice)!r}")
        return self


class LokiSink(HttpSink[LokiSinkConfig]):
    """Sends lines; those of a request are grouped by their labels."""

    probe = b'{"streams":[]}'

    @property
    def url(self) -> str:
        """The address of the push API."""
        return f"{self.config.url}/loki/api/v1/push"

    def authorization(self) -> dict[str, str]:
        """Return the tenant."""
        return {"X-Scope-OrgID": self.config.tenant} if self.config.tenant else {}

    def bind(self, schema: pa.Schema) -> None:
        """Check the columns of labels and metadata, and find the time of a row.

        Raises:
            ConfigError: a column is missing, or has no text.
        """
        check_json(schema)
        for option in ("label_columns", "metadata_columns"):
            for name in getattr(self.config, option):
                if name not in schema.names or not is_scalar(schema.field(name).type):
                    raise ConfigError(
                        f"{option}: there is no column {name!r} with simple values",
                        field=option,
                        code="column_missing",
                    )
        self.times = EventTimes(self.config, schema)

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of `[time, line, metadata],`."""
        line = object_pieces(batch.schema.names, batch.columns, nulls=False)
        end: list[Piece] = ["],"]
        if self.config.metadata_columns:
            end = [",", *_texts(batch, self.config.metadata_columns), "],"]
        return [
            json_piece(self.times.needed(batch, "ns"), '["', '",'),
            Plain(quoted(joined(line, batch.num_rows))),
            *end,
        ]

    def body(self, batch: pa.Table) -> bytes:
        """Return the streams of a request, each with its lines by time."""
        constant = ",".join(
            f"{quoted_name(name)}:{quoted_name(value)}"
            for name, value in self.config.labels.items()
        )
        keys = pa.concat_arrays(
            [
                joined(_texts(rows, self.config.label_columns), rows.num_rows)
                for rows in batch.to_batches()
            ]
        )
        order = np.asarray(self.times.unix(batch, "ns"))
        streams = []
        for key, lines in groups_of(batch, keys, order):
            labels = "{" + constant + ("," if key != "{}" else "") + key[1:]
            text = text_of(lines)
            streams.append(b'{"stream":%b,"values":[%b]}' % (labels.encode(), text[:-1]))
        return b'{"streams":[%b]}' % b",".join(streams)


def _texts(batch: pa.RecordBatch, names: tuple[str, ...]) -> list[Piece]:
    """Return the pieces of an object of texts, whatever the types of the columns."""
    columns = [_text(batch.column(name)) for name in names]
    return object_pieces(names, columns, nulls=False)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, scalar_text(column.dictionary))
    return scalar_text(column)
