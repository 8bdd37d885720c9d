"""What every decoder owes its users: each record is a row, a reject or skipped, however it is cut."""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ktrans.api import (
    BytesPayload,
    ComponentConfig,
    Context,
    Decoder,
    Limits,
    RejectError,
    Split,
    TruncatedError,
)
from ktrans.flow.schema import FLOW_SCHEMA, NAMES

RUBBISH = 150
"""How many damaged logs are tried."""


@dataclass
class Outcome:
    """All that came of an object.

    Attributes:
        rows: the rows.
        records, skipped: as the decoder counted them.
        rejects: the rejected records, as mappings of REJECT_SCHEMA.
    """

    rows: pa.Table
    records: int = 0
    skipped: int = 0
    rejects: list[dict[str, Any]] = field(default_factory=list)

    def told(self) -> tuple[Any, ...]:
        """Give it in a form that can be compared."""
        rejects = [(r["source_pos"], r["reason"], r["raw"]) for r in self.rejects]
        return self.rows.to_pylist(), self.records, self.skipped, rejects


def decode(decoder: Decoder[Any], schema: pa.Schema, data: bytes) -> Outcome:
    """Decode an object, and hold every block to the contract."""
    payload = BytesPayload(Split("k", "mem://object"), data)
    outcome = Outcome(schema.empty_table())
    batches = []
    for block in decoder.blocks(payload):
        assert block.nbytes >= 0
        decoded = decoder.decode(block)
        assert decoder.decode(block).batch.equals(decoded.batch), "decode is not pure"
        refused = [] if decoded.rejects is None else decoded.rejects.to_pylist()
        assert decoded.records == decoded.batch.num_rows + len(refused) + decoded.skipped
        assert decoded.batch.schema.equals(schema)
        decoded.batch.validate(full=True)
        batches.append(decoded.batch)
        outcome.records += decoded.records
        outcome.skipped += decoded.skipped
        outcome.rejects += refused
    outcome.rows = pa.Table.from_batches(batches, schema)
    return outcome


class DecoderContract:
    """Inherit this, and override `make` and `log`."""

    def make(self, context: Context) -> Decoder[Any]:
        """Build the decoder."""
        raise NotImplementedError

    def log(self) -> bytes:
        """Give an object of some dozen records, some of them bad."""
        raise NotImplementedError

    def decode(
        self, data: bytes, columns: list[str] | None = None, limits: Limits | None = None
    ) -> Outcome:
        """Decode an object with a new decoder."""
        decoder = self.make(Context(limits=limits or Limits()))
        return decode(decoder, decoder.schema(columns), data)

    def test_the_log_has_rows_and_each_record_is_accounted_for(self) -> None:
        """Or the other tests would say nothing."""
        assert self.decode(self.log()).rows.num_rows > 1

    def test_the_schema_is_the_flow_schema_before_anything_is_read(self) -> None:
        """`validate` types the whole pipeline with it."""
        decoder = self.make(Context())
        assert set(NAMES) <= set(decoder.schema(None).names)
        some = self.make(Context()).schema(["bytes", "src_addr", "no_such_column"])
        assert set(some.names) == {"bytes", "src_addr"}
        assert some.field("bytes").type == FLOW_SCHEMA.field("bytes").type

    def test_a_projection_gives_the_same_columns(self) -> None:
        """Only what later stages read is built; a record that is only wrong elsewhere is a row."""
        whole = self.decode(self.log()).rows
        wanted = ["bytes", "dst_addr", "source_pos", "start_time"]
        some = self.decode(self.log(), wanted).rows
        assert set(some.column_names) == set(wanted)
        by_position = {row["source_pos"]: row for row in some.to_pylist()}
        for row in whole.select(some.column_names).to_pylist():
            assert by_position[row["source_pos"]] == row

    def test_the_size_of_the_blocks_changes_nothing(self) -> None:
        """Blocks end at record borders, wherever the bytes are cut."""
        whole = self.decode(self.log()).told()
        for size in (64, 400, 3000):
            assert self.decode(self.log(), limits=Limits(block_bytes=size)).told() == whole

    def test_compression_changes_nothing(self) -> None:
        """It is told by the first bytes, never by the name."""
        assert self.decode(gzip.compress(self.log())).told() == self.decode(self.log()).told()

    def test_positions_rise_and_name_the_object(self) -> None:
        """A row can be found again in its object."""
        rows = self.decode(self.log()).rows
        positions = rows["source_pos"].to_pylist()
        assert positions == sorted(set(positions))
        assert set(rows["source_uri"].to_pylist()) == {"mem://object"}

    def test_rubbish_is_rejected_and_never_raises_anything_else(self) -> None:
        """Bytes of the log are changed, cut out, doubled; objects are torn; noise is read."""
        dice = random.Random(7)  # noqa: S311  damage need not be secret
        log = self.log()
        for _ in range(RUBBISH):
            damaged = bytearray(log)
            for _ in range(dice.randint(1, 8)):
                at = dice.randrange(len(damaged) or 1)
                length = dice.choice([0, 1, 1, 5, 40])
                damaged[at : at + length] = dice.randbytes(dice.choice([0, 1, 3]))
            data = bytes(damaged[: dice.randint(0, len(damaged))])
            try:
                outcome = self.decode(data)
            except (RejectError, TruncatedError):
                continue
            assert outcome.records >= outcome.rows.num_rows

    def test_an_object_without_bytes_has_no_rows(self) -> None:
        """It may be refused as a whole."""
        try:
            assert self.decode(b"").rows.num_rows == 0
        except RejectError:
            return

    def test_options_survive_a_round_trip_and_are_documented(self) -> None:
        """The reference page is made of them."""
        config = self.make(Context()).config
        assert isinstance(config, ComponentConfig)
        assert type(config).model_validate(config.model_dump(mode="json")) == config
        for name, option in type(config).model_fields.items():
            assert option.description, name
            assert option.examples, name

    def test_close_is_safe_twice(self) -> None:
        """Like every component."""
        decoder = self.make(Context())
        decoder.close()
        decoder.close()
