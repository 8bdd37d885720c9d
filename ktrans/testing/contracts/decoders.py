"""The contract of decoders: each record becomes a row, a reject or is skipped."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from ktrans.api import (
    BytesPayload,
    Context,
    Decoder,
    Limits,
    RejectError,
    Split,
    TruncatedError,
)
from ktrans.api.spec import Kind
from ktrans.flow.schema import FLOW_SCHEMA, NAMES
from ktrans.testing.arrow import assert_batches_equal
from ktrans.testing.contracts.covered import ComponentContract

RUBBISH = 50
"""How many damaged logs are tried."""

SUBSETS = 12
"""How many selections of columns are tried."""


@dataclass
class Outcome:
    """The result of decoding an object.

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
        """Return it in a form that can be compared."""
        rejects = [(r["source_pos"], r["reason"], r["raw"]) for r in self.rejects]
        return self.rows.to_pylist(), self.records, self.skipped, rejects


def decode(decoder: Decoder[Any], schema: pa.Schema, data: bytes) -> Outcome:
    """Decode an object and check every block."""
    payload = BytesPayload(Split("k", "mem://object"), data)
    outcome = Outcome(schema.empty_table())
    batches = []
    for block in decoder.blocks(payload):
        assert block.nbytes >= 0
        decoded = decoder.decode(block)
        again = decoder.decode(block).batch
        if not again.equals(decoded.batch):
            with _saying("decode is not pure: the same block gave other rows the second time"):
                assert_batches_equal(again, decoded.batch)
            pytest.fail("decode is not pure: the same block gave other dictionaries")
        refused = [] if decoded.rejects is None else decoded.rejects.to_pylist()
        parts = f"{decoded.batch.num_rows} rows, {len(refused)} rejects, {decoded.skipped} skipped"
        accounted = decoded.batch.num_rows + len(refused) + decoded.skipped
        assert decoded.records == accounted, f"{decoded.records} records, but {parts}"
        assert decoded.batch.schema.equals(schema), "rows are not of the schema that was announced"
        decoded.batch.validate(full=True)
        batches.append(decoded.batch)
        outcome.records += decoded.records
        outcome.skipped += decoded.skipped
        outcome.rejects += refused
    outcome.rows = pa.Table.from_batches(batches, schema)
    return outcome


@contextmanager
def _saying(what: str) -> Iterator[None]:
    """Put a message before the failure of an assertion."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}\n{error}") from None


class DecoderContract(ComponentContract):
    """Inherit this, and override `make` and `log`."""

    kind: ClassVar[Kind] = "decoder"

    @pytest.fixture
    def component(self) -> Decoder[Any]:
        """Return a decoder."""
        return self.make(Context())

    def make(self, context: Context) -> Decoder[Any]:
        """Build the decoder."""
        raise NotImplementedError

    def log(self) -> bytes:
        """Return an object of some dozen records, some of them bad."""
        raise NotImplementedError

    def decode(
        self, data: bytes, columns: list[str] | None = None, limits: Limits | None = None
    ) -> Outcome:
        """Decode an object with a new decoder."""
        decoder = self.make(Context(limits=limits or Limits()))
        return decode(decoder, decoder.schema(columns), data)

    def test_the_log_has_rows_and_each_record_is_accounted_for(self) -> None:
        """Otherwise the other tests would test nothing."""
        assert self.decode(self.log()).rows.num_rows > 1

    def test_the_schema_is_the_flow_schema_before_anything_is_read(self) -> None:
        """`validate` types the whole pipeline with it."""
        decoder = self.make(Context())
        assert set(NAMES) <= set(decoder.schema(None).names)
        some = self.make(Context()).schema(["bytes", "src_addr", "no_such_column"])
        assert set(some.names) == {"bytes", "src_addr"}
        assert some.field("bytes").type == FLOW_SCHEMA.field("bytes").type

    def test_a_projection_changes_neither_rows_nor_rejects(self) -> None:
        """What makes a record a reject depends on the record, not on what later stages read."""
        whole = self.decode(self.log())
        dice = random.Random(11)  # noqa: S311  no secret
        for _ in range(SUBSETS):
            wanted = dice.sample(NAMES, dice.randint(1, 8))
            some = self.decode(self.log(), wanted)
            assert set(some.rows.column_names) == set(wanted)
            with _saying(f"with the columns {', '.join(wanted)} alone there are other rows"):
                assert_batches_equal(some.rows, whole.rows.select(some.rows.column_names))
            assert some.told()[1:] == whole.told()[1:], f"other counts with the columns {wanted}"

    def test_the_size_of_the_blocks_changes_nothing(self) -> None:
        """Blocks end at record borders, wherever the bytes are cut."""
        whole = self.decode(self.log())
        for size in (64, 400, 3000):
            cut = self.decode(self.log(), limits=Limits(block_bytes=size))
            with _saying(f"blocks of {size} bytes gave other rows than the whole object"):
                assert_batches_equal(cut.rows, whole.rows)
            assert cut.told()[1:] == whole.told()[1:], f"blocks of {size} bytes, other counts"

    def test_the_same_object_gives_the_same_batches_again(self) -> None:
        """An epoch that is done again in a new process writes the same files."""
        first, again = self._batches(), self._batches()
        assert len(first) == len(again)
        for one, other in zip(first, again, strict=True):
            assert_batches_equal(one, other)

    def _batches(self) -> list[pa.RecordBatch]:
        decoder = self.make(Context(limits=Limits(block_bytes=1000)))
        decoder.schema(None)
        payload = BytesPayload(Split("k", "mem://object"), self.log())
        return [decoder.decode(block).batch for block in decoder.blocks(payload)]

    def test_compression_changes_nothing(self) -> None:
        """It is recognised by the first bytes, never by the name."""
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
            except Exception as error:
                error.add_note(f"only RejectError and TruncatedError may be raised, for {data!r}")
                raise
            assert outcome.records >= outcome.rows.num_rows

    def test_an_object_without_bytes_has_no_rows(self) -> None:
        """It may be refused as a whole."""
        try:
            assert self.decode(b"").rows.num_rows == 0
        except RejectError:
            return
