"""The geoip enricher: what users rely on, with databases that the tests write themselves."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

import ktrans_geoip
import pyarrow as pa
import pytest
from ktrans_geoip.enricher import GeoipEnricher, GeoipEnricherConfig
from pydantic import ValidationError

from ktrans.api import ConfigError, Context

_spec = importlib.util.spec_from_file_location("mmdb", Path(__file__).with_name("mmdb.py"))
mmdb = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mmdb)

TEXT = pa.dictionary(pa.int32(), pa.string())


def place(country, city=None, region=None, at=None):
    record = {"country": {"iso_code": country}}
    if city:
        record |= {"city": {"names": {"en": city, "de": f"{city}-de"}}}
    if region:
        record |= {"subdivisions": [{"iso_code": region}]}
    if at:
        record |= {"location": {"latitude": at[0], "longitude": at[1]}}
    return record


@pytest.fixture
def folder(tmp_path):
    mmdb.write_mmdb(
        tmp_path / "city.mmdb",
        "GeoLite2-City",
        {
            "9.0.0.0/8": place("US"),
            "9.9.9.0/24": place("CH", "Bern", "BE", (46.9, 7.4)),
            "10.0.0.0/8": place("XX"),
            "2a00::/16": place("DE", "Kiel"),
        },
    )
    mmdb.write_mmdb(
        tmp_path / "asn.mmdb",
        "GeoLite2-ASN",
        {
            "9.9.0.0/16": {
                "autonomous_system_number": 65551,
                "autonomous_system_organization": "Example Net, a longer name than 29 bytes",
            }
        },
        ip_version=4,
    )
    return tmp_path


def make(folder, **options):
    return GeoipEnricher(GeoipEnricherConfig(**options), Context(base_dir=folder))


def addresses(*texts, kind=TEXT):
    return pa.array(texts, pa.string()).cast(kind) if kind != TEXT else pa.array(texts, TEXT)


def run(enricher, src, dst=None):
    batch = pa.record_batch({"src_addr": src, "dst_addr": src if dst is None else dst})
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    out.validate(full=True)
    return out


def test_looks_up_the_longest_prefix_in_every_database(folder):
    out = run(
        make(folder, city="city.mmdb", asn="asn.mmdb"),
        addresses("9.9.9.9", "9.1.2.3", "2a00::1", None, "9.9.9.9"),
    )
    assert out["src_country"].to_pylist() == ["CH", "US", "DE", None, "CH"]
    assert out["src_region"].to_pylist() == ["BE", None, None, None, "BE"]
    assert out["dst_city"].to_pylist() == ["Bern", None, "Kiel", None, "Bern"]
    assert out["src_asn"].to_pylist() == [65551, None, None, None, 65551]
    assert out["src_as_org"].to_pylist()[0] == "Example Net, a longer name than 29 bytes"
    assert "src_latitude" not in out.schema.names


def test_position_and_language_on_request(folder):
    enricher = make(
        folder, city="city.mmdb", columns=["latitude", "longitude", "city"], language="de",
        addresses=["dst_addr"], naming="geo_{side}_{column}",
    )  # fmt: skip
    out = run(enricher, addresses("9.9.9.9", "9.1.2.3"))
    assert out["geo_dst_latitude"].to_pylist() == [46.9, None]
    assert out["geo_dst_longitude"].type == pa.float64()
    assert out["geo_dst_city"].to_pylist() == ["Bern-de", None]
    assert list(enricher.adds()) == ["geo_dst_latitude", "geo_dst_longitude", "geo_dst_city"]


def test_addresses_that_are_not_globally_routed_are_null(folder):
    out = run(make(folder, city="city.mmdb"), addresses("10.1.2.3", "fe80::1", "no address", ""))
    assert out["src_country"].to_pylist() == [None] * 4


def test_an_ipv4_address_within_ipv6_is_that_ipv4_address(folder):
    out = run(make(folder, city="city.mmdb"), addresses("::ffff:9.9.9.9"))
    assert out["src_city"].to_pylist() == ["Bern"]


@pytest.mark.parametrize("kind", [TEXT, pa.string(), pa.large_string()])
def test_every_kind_of_text_column(folder, kind):
    enricher = make(folder, city="city.mmdb")
    out = run(enricher, addresses("9.9.9.9", None, kind=kind))
    assert out["src_city"].to_pylist() == ["Bern", None]


def test_empty_sliced_and_filtered_batches(folder):
    enricher = make(folder, city="city.mmdb", columns=["country"])
    column = addresses(*["9.9.9.9", None, "9.1.1.1"] * 20, *[f"9.2.2.{i}" for i in range(100)])
    batch = pa.record_batch({"src_addr": column, "dst_addr": column})
    enricher.bind(batch.schema)
    assert enricher.apply(batch.slice(0, 0)).num_rows == 0
    assert enricher.apply(batch.slice(1, 3))["dst_country"].to_pylist() == [None, "US", "CH"]
    nulls = pa.record_batch({name: pa.nulls(3, TEXT) for name in batch.schema.names})
    assert enricher.apply(nulls)["src_country"].null_count == 3


def test_answers_are_remembered_up_to_a_bound(folder, monkeypatch):
    monkeypatch.setattr("ktrans_geoip.enricher._CACHED_ADDRESSES", 10)
    enricher = make(folder, city="city.mmdb")
    run(enricher, addresses(*[f"9.9.9.{i}" for i in range(100)]))
    info = enricher._lookup.cache_info()
    assert info.currsize == 10
    run(enricher, addresses("9.9.9.99"))
    assert enricher._lookup.cache_info().hits > info.hits


def test_the_build_date_is_logged(folder, caplog):
    with caplog.at_level(logging.INFO):
        run(make(folder, city="city.mmdb"), addresses("9.9.9.9"))
    assert "GeoLite2-City, built 2026-01-01" in caplog.text


def test_a_missing_database_is_named(folder):
    with pytest.raises(ConfigError, match=r"asn database .*nowhere.mmdb does not exist") as error:
        make(folder, asn="nowhere.mmdb").check()
    assert error.value.code == "database_missing"


def test_a_damaged_database_is_named(folder):
    (folder / "bad.mmdb").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match="is not a MaxMind DB file"):
        make(folder, city="bad.mmdb").check()


def test_a_database_of_another_kind_is_refused(folder):
    with pytest.raises(ConfigError, match="'GeoLite2-City' database, which does not fit"):
        make(folder, asn="city.mmdb").check()


@pytest.mark.parametrize(
    ("option", "kind", "record", "wrong"),
    [
        (
            "country",
            "ipinfo generic_country_free.mmdb",
            {"country": "US"},
            "9.0.0.0/8: country is 'US'",
        ),
        ("asn", "ipinfo generic_asn_free.mmdb", {"asn": "AS1"}, "without autonomous_system_number"),
        ("asn", "X-ASN", {"autonomous_system_number": "AS1"}, "autonomous_system_number is 'AS1'"),
    ],
)
def test_records_of_another_layout_are_refused_when_the_database_is_opened(
    folder, option, kind, record, wrong
):
    mmdb.write_mmdb(folder / "other.mmdb", kind, {"9.0.0.0/8": record})
    with pytest.raises(ConfigError, match=wrong) as error:
        make(folder, **{option: "other.mmdb"}).check()
    assert (error.value.code, error.value.field) == ("database_type", option)


@pytest.mark.parametrize("looked_at", [0, 1000])
def test_a_database_that_is_damaged_inside_is_named(folder, monkeypatch, looked_at):
    monkeypatch.setattr("ktrans_geoip.database._LOOKED_AT", looked_at)
    data = bytearray((folder / "city.mmdb").read_bytes())
    at = data.index(b"country") - 2
    data[at : at + 60] = b"\xff" * 60
    (folder / "damaged.mmdb").write_bytes(data)
    with pytest.raises(ConfigError, match=r"damaged\.mmdb is damaged: .*data section") as error:
        run(make(folder, city="damaged.mmdb"), addresses("9.1.2.3"))
    assert (error.value.code, error.value.field) == ("database_damaged", "city")


def test_an_enterprise_database_has_operators_in_its_traits(folder):
    traits = {"autonomous_system_number": 65551, "autonomous_system_organization": "Example"}
    record = place("US") | {"traits": traits}
    mmdb.write_mmdb(folder / "e.mmdb", "GeoIP2-Enterprise", {"9.0.0.0/8": record})
    out = run(make(folder, city="e.mmdb", asn="e.mmdb"), addresses("9.1.2.3"))
    assert out["src_country"].to_pylist() == ["US"]
    assert out["src_asn"].to_pylist() == [65551]
    assert out["src_as_org"].to_pylist() == ["Example"]


def test_config_errors():
    with pytest.raises(ValidationError, match="at least one of city, country and asn"):
        GeoipEnricherConfig()
    with pytest.raises(ValidationError, match="column 'asn' needs the option 'asn'"):
        GeoipEnricherConfig(city="x.mmdb", columns=["asn"])


def test_columns_that_do_not_fit_the_schema(folder):
    enricher = make(folder, city="city.mmdb", columns=["country"])
    with pytest.raises(ConfigError, match="there is no column 'src_addr'"):
        enricher.bind(pa.schema([("x", TEXT)]))
    with pytest.raises(ConfigError, match="where text is needed"):
        enricher.bind(pa.schema([("src_addr", pa.int64()), ("dst_addr", TEXT)]))
    with pytest.raises(ConfigError, match="already a column 'src_country'"):
        enricher.bind(pa.schema([("src_addr", TEXT), ("dst_addr", TEXT), ("src_country", TEXT)]))


@pytest.mark.parametrize(
    "options",
    [
        {"naming": "geo_{column}"},
        {"naming": "{side}_geo"},
        {"columns": ["country", "country"]},
        {"addresses": ["src_addr", "src_addr"]},
    ],
)
def test_two_new_columns_of_one_name(folder, options):
    enricher = make(folder, city="city.mmdb", **options)
    with pytest.raises(ConfigError, match="of the new columns have the name") as error:
        run(enricher, addresses("9.9.9.9"))
    assert (error.value.code, error.value.field) == ("column_exists", "naming")


def test_every_option_is_described():
    for name, field in GeoipEnricherConfig.model_fields.items():
        assert field.description, name
        assert field.examples, name


def test_registering_imports_nothing_heavy():
    code = (
        "import sys, ktrans_geoip; ktrans_geoip.ktrans_components();"
        "print({'pyarrow', 'maxminddb', 'pydantic', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert ktrans_geoip.ktrans_components()[0].type == "geoip"
