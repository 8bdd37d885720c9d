"""The flow schema and its maps, for plugins: see `ktrans.flow.schema` and docs/flow-schema.md."""

from ktrans.flow.maps import entries
from ktrans.flow.schema import FLOW_SCHEMA, NAMES, TEXT, TIME

__all__ = ["FLOW_SCHEMA", "NAMES", "TEXT", "TIME", "entries"]
