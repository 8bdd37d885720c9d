"""Describes and creates tables by BigQuery's REST API (v2, `tables`)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ktrans.api import AccessError, ConfigError, Context
from ktrans.kit.columns import option, require
from ktrans_gcp.bigquery_config import BigQuerySinkConfig
from ktrans_gcp.bigquery_types import check_table, column_text, described, time_column
from ktrans_gcp.errors import google_errors
from ktrans_gcp.google_auth import credentials

ACCESS = "grant roles/bigquery.dataEditor on the dataset or the table to these credentials"
MISSING = "create it, or correct `project`, `dataset` and `table`"
_RIGHT = "bigquery.tables.updateData"
_CALL_SECS = 60
_NOT_FOUND, _CONFLICT = 404, 409


class Table:
    """A table, and what it has to be like for rows of a schema."""

    def __init__(self, config: BigQuerySinkConfig, context: Context, schema: pa.Schema) -> None:
        self._config = config
        self._context = context
        self.fields = described(schema)
        self._time = time_column(config.time, schema)
        with option("time"):
            if config.time is not None:
                require(schema, [config.time], "bigquery")
        with option("cluster_by"):
            require(schema, config.cluster_by, "bigquery")

    def check(self) -> None:
        """Check that the table fits and rows may be added, without adding any."""
        with google_errors(self._what, missing=MISSING, access=ACCESS, checking=True):
            self._checked()
            answer = self._ask("POST", ":testIamPermissions", {"permissions": [_RIGHT]})
            if answer is not None and _RIGHT not in answer.get("permissions", []):
                raise AccessError(f"{self._what}: {_RIGHT} is not granted", hint=ACCESS)

    def ready(self) -> bool:
        """Create the table if need be and may be; return whether it was created."""
        with google_errors(self._what, missing=MISSING, access=ACCESS):
            if self._checked():
                return False
            place = f"projects/{self._config.project}/datasets/{self._config.dataset}/tables"
            if self._request("POST", place, self._resource(), accepted=(_CONFLICT,)) is None:
                self._checked()  # another process has created it, perhaps for other rows
            return True

    def _checked(self) -> bool:
        """Return whether the table is there; raise if it does not fit, or may not be created."""
        found = self._ask("GET")
        if found is not None:
            check_table(self.fields, found.get("schema", {}).get("fields", []), self._config.name)
            return True
        if not self._config.create_table:
            raise ConfigError(
                f"there is no table {self._config.name}",
                field="table",
                code="bigquery_table",
                hint=f"set `create_table: true`, or execute:\n{self.statement()};",
            )
        return False

    def statement(self) -> str:
        """Return the statement that creates the table."""
        config = self._config
        columns = ",\n  ".join(column_text(field) for field in self.fields)
        parts = [f"CREATE TABLE `{config.name}` (\n  {columns}\n)"]
        if self._time is not None:
            spans = {"DAY": f"DATE({self._time})"}
            span = spans.get(config.partition, f"TIMESTAMP_TRUNC({self._time}, {config.partition})")
            parts.append(f"PARTITION BY {span}")
        if config.cluster_by:
            parts.append(f"CLUSTER BY {', '.join(config.cluster_by)}")
        if config.partition_expiration is not None:
            days = config.partition_expiration / 86400
            parts.append(f"OPTIONS (partition_expiration_days = {days:g})")
        return "\n".join(parts)

    def _resource(self) -> dict[str, Any]:
        config = self._config
        place = {"projectId": config.project, "datasetId": config.dataset, "tableId": config.table}
        made: dict[str, Any] = {"tableReference": place, "schema": {"fields": self.fields}}
        if self._time is not None:
            made["timePartitioning"] = {"type": config.partition, "field": self._time}
            if config.partition_expiration is not None:
                milliseconds = int(config.partition_expiration * 1000)
                made["timePartitioning"]["expirationMs"] = str(milliseconds)
        if config.cluster_by:
            made["clustering"] = {"fields": config.cluster_by}
        return made

    @property
    def _what(self) -> str:
        return f"table {self._config.name}"

    def _ask(
        self, method: str, verb: str = "", body: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Ask about the table; None if it is not there, or its dataset."""
        return self._request(method, self._config.path + verb, body, accepted=(_NOT_FOUND,))

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, accepted: tuple[int, ...]
    ) -> dict[str, Any] | None:
        from google.api_core import exceptions as api
        from google.auth.transport.requests import AuthorizedSession

        session = AuthorizedSession(credentials(self._config, self._context))
        url = f"{self._config.rest_endpoint}/bigquery/v2/{path}"
        with session, session.request(method, url, json=body, timeout=_CALL_SECS) as answer:
            if answer.status_code in accepted:
                return None
            if not answer.ok:
                raise api.from_http_response(answer)
            found = answer.json()
            if not isinstance(found, dict):
                raise ConfigError(
                    f"{self._config.rest_endpoint} does not answer as BigQuery does",
                    field="rest_endpoint",
                    code="bigquery_table",
                    hint="correct `rest_endpoint`, or leave it out",
                )
            return found
