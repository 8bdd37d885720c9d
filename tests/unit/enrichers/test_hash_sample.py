"""hash_addresses and sample: the same answer in every batch, process and run."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from ktrans.api import ConfigError
from ktrans.enrichers.hash_addresses import HashAddressesEnricher, HashAddressesEnricherConfig
from ktrans.enrichers.sample import SampleEnricher, SampleEnricherConfig
from ktrans.flow.schema import TEXT

SALT = "correct horse battery staple"


def hashed(texts, kind=TEXT, **options):
    batch = pa.record_batch(
        {"src_addr": pa.array(texts, kind), "bytes": pa.array(range(len(texts)))}
    )
    enricher = HashAddressesEnricher(HashAddressesEnricherConfig(**{"salt": SALT, **options}))
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    out.validate(full=True)
    assert out.schema.equals(schema, check_metadata=True)
    assert out["bytes"].equals(batch["bytes"])
    return out["src_addr"].to_pylist()


def test_tokens_are_stable_and_tell_addresses_apart():
    first = hashed(["10.0.0.1", "10.0.0.2", None, "10.0.0.1"])
    assert first[0] == first[3] == hashed(["9.9.9.9", "10.0.0.1"])[1]
    assert first[0] != first[1]
    assert first[2] is None
    assert all(len(token) == 32 and int(token, 16) >= 0 for token in first if token)
    assert first == hashed(["10.0.0.1", "10.0.0.2", None, "10.0.0.1"], pa.string())


def test_this_token_never_changes():
    """A stored data set must still join after an upgrade."""
    assert hashed(["10.0.0.1"]) == ["6e8c3d7f7aefa634026a2966dd4b8ba0"]


def test_another_salt_gives_other_tokens():
    assert hashed(["10.0.0.1"]) != hashed(["10.0.0.1"], salt=SALT + "!")


def test_spellings_of_one_address_have_one_token():
    a, b = hashed(["2001:db8::1", "2001:0DB8:0:0::1"])
    assert a == b


def test_prefixes_can_be_kept():
    v4, v6, other = hashed(["10.1.2.3", "2001:db8:1:2::3", "n/a"], keep_prefix=True, hash_bytes=8)
    assert v4.startswith("10.1.2.0/24-")
    assert v6.startswith("2001:db8:1::/48-")
    assert other.startswith("unknown-")
    assert len(v4.split("-")[1]) == 16


def test_columns_that_are_named_must_be_there():
    with pytest.raises(ConfigError, match="no column 'dst_addr'"):
        hashed(["10.0.0.1"], columns=["dst_addr"])


def test_the_salt_is_never_shown_and_must_be_long():
    config = HashAddressesEnricherConfig(salt=SALT)
    shown = repr(config) + str(config) + config.model_dump_json() + repr(config.model_dump())
    assert SALT not in shown
    with pytest.raises(ValidationError, match="at least 16") as error:
        HashAddressesEnricherConfig(salt="too short salt")
    assert "too short salt" not in str(error.value)


def flows(count, seed=0):
    rng = np.random.default_rng(seed)
    address = [f"10.{a}.{b}.{c}" for a, b, c in rng.integers(0, 256, (count, 3))]
    other = [f"2001:db8::{a:x}" for a in rng.integers(0, 65536, count)]
    return pa.record_batch(
        {
            "src_addr": pa.array(address, TEXT),
            "dst_addr": pa.array(other, TEXT),
            "src_port": pa.array(rng.integers(0, 65536, count), pa.int32()),
            "dst_port": pa.array(rng.integers(0, 1024, count), pa.int32()),
            "protocol": pa.array(rng.choice([6, 17], count), pa.int16()),
            "row": pa.array(range(count)),
        }
    )


def sampled(batch, one_in=4, **options):
    enricher = SampleEnricher(SampleEnricherConfig(one_in=one_in, **options))
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    return out


def test_about_one_in_n_stays_with_a_weight():
    out = sampled(flows(20_000))
    assert 4_700 < out.num_rows < 5_300
    assert set(out["sample_weight"].to_pylist()) == {4}
    assert sampled(flows(100), one_in=1).num_rows == 100


def test_both_directions_stay_together():
    batch = flows(2_000)
    names = ["dst_addr", "src_addr", "dst_port", "src_port", "protocol", "row"]
    back = pa.RecordBatch.from_arrays([batch[n] for n in names], names=batch.schema.names)
    assert sampled(batch)["row"].equals(sampled(back)["row"])


def test_the_choice_does_not_depend_on_the_batch():
    batch = flows(1_000)
    whole = sampled(batch)["row"].to_pylist()
    parts = [
        row for i in range(0, 1_000, 70) for row in sampled(batch.slice(i, 70))["row"].to_pylist()
    ]
    assert whole == parts
    plain = batch.set_column(0, "src_addr", batch["src_addr"].cast(pa.string()))
    wide = plain.set_column(2, "src_port", plain["src_port"].cast(pa.int64()))
    assert sampled(wide)["row"].to_pylist() == whole


def test_the_choice_does_not_depend_on_the_process():
    code = (
        "import pyarrow as pa\n"
        "from ktrans.enrichers.sample import *\n"
        "n = 200\n"
        "t = pa.dictionary(pa.int32(), pa.string())\n"
        "b = pa.record_batch({'src_addr': pa.array([f'10.0.0.{i}' for i in range(n)], t),"
        " 'dst_addr': pa.array(['9.9.9.9'] * n, t), 'src_port': pa.array([5] * n),"
        " 'dst_port': pa.array([7] * n), 'protocol': pa.array([6] * n), 'row': pa.array(range(n))})\n"
        "e = SampleEnricher(SampleEnricherConfig(one_in=20)); e.bind(b.schema)\n"
        "print(e.apply(b)['row'].to_pylist())\n"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {KEPT + "\n"}


KEPT = "[4, 48, 63, 80, 86, 89, 138, 149, 193]"
"""Part of the contract: an upgrade must keep the same flows."""


def test_a_weight_that_exists_is_multiplied():
    batch = flows(3).append_column("sample_weight", pa.array([10, None, 1], pa.int16()))
    out = sampled(batch, one_in=1)
    assert out["sample_weight"].to_pylist() == [10, 1, 1]
    assert out["sample_weight"].type == pa.int64()
    out = sampled(sampled(flows(5_000), one_in=10), one_in=2, weight_column="sample_weight")
    assert set(out["sample_weight"].to_pylist()) == {20}


def test_rows_without_addresses_or_ports_are_sampled_too():
    nothing = pa.record_batch(
        {
            "src_addr": pa.nulls(4, TEXT),
            "dst_addr": pa.nulls(4),
            "src_port": pa.nulls(4, pa.int32()),
            "dst_port": pa.nulls(4),
            "protocol": pa.array([1, 1, None, None], pa.int16()),
        }
    )
    assert sampled(nothing, one_in=3).num_rows in (0, 2, 4)
