"""services and labels: names of protocols and ports, classes of addresses, directions."""

from __future__ import annotations

import ipaddress

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ktrans.api import ConfigError
from ktrans.enrichers.labels import LabelsEnricher, LabelsEnricherConfig
from ktrans.enrichers.services import ServicesEnricher, ServicesEnricherConfig
from ktrans.flow.schema import TEXT
from ktrans.kit.flow_rules import ADDRESS_CLASSES as CLASSES

FLOW = (pa.int16(), pa.int32(), pa.int32())


def services(rows, kinds=FLOW, **options):
    protocol, src, dst = (list(column) for column in zip(*rows, strict=True))
    batch = pa.record_batch(
        {
            "protocol": pa.array(protocol, kinds[0]),
            "src_port": pa.array(src, kinds[1]),
            "dst_port": pa.array(dst, kinds[2]),
        }
    )
    enricher = ServicesEnricher(ServicesEnricherConfig(**options))
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    out.validate(full=True)
    assert out.schema.equals(schema, check_metadata=True)
    return out


CASES = [
    # protocol, source port, destination port -> name, service, server, port
    (6, 50000, 443, "tcp", "https", "dst", 443),
    (6, 443, 50000, "tcp", "https", "src", 443),
    (17, 53, 34567, "udp", "domain", "src", 53),
    (6, 5432, 49999, "tcp", "postgresql", "src", 5432),
    (6, 6379, 22, "tcp", "ssh", "dst", 22),  # both are registered, one is a system port
    (17, 123, 123, "udp", "ntp", None, 123),  # the same on both ends
    (6, 22, 443, "tcp", None, None, None),  # two system services: nobody can tell
    (6, 50001, 50002, "tcp", None, None, None),
    (6, 50001, 4, "tcp", None, "dst", 4),  # no name, but a system port
    (17, 50001, 6379, "udp", None, None, None),  # registered for TCP only
    (132, 36412, 50000, "sctp", "s1-control", "src", 36412),
    (136, 50000, 53, "udplite", "domain", "dst", 53),
    (1, 0, 0, "icmp", None, None, None),
    (58, None, None, "ipv6-icmp", None, None, None),
    (255, 50000, 443, None, None, None, None),
    (None, 50000, 443, None, None, None, None),
    (6, None, 443, "tcp", "https", "dst", 443),
    (6, None, None, "tcp", None, None, None),
    (6, -1, 70000, "tcp", None, None, None),
]


@pytest.mark.parametrize("kinds", [FLOW, (pa.int64(),) * 3])
def test_protocols_services_and_servers(kinds):
    out = services([case[:3] for case in CASES], kinds)
    for i, name in enumerate(("protocol_name", "service", "server", "server_port"), start=3):
        assert out[name].to_pylist() == [case[i] for case in CASES], name


def test_one_end_does_not_depend_on_the_rest_of_the_batch():
    for case in CASES:
        out = services([case[:3]])
        assert out["service"].to_pylist() == [case[4]], case


def test_outputs_can_be_chosen_and_named():
    out = services([(6, 1, 2)], columns={"protocol_name": "transport"})
    assert out.schema.names[3:] == ["transport"]
    enricher = ServicesEnricher(ServicesEnricherConfig(columns={"protocol_name": "p"}))
    assert list(enricher.needs()) == ["protocol"]
    with pytest.raises(ConfigError, match="already a column 'protocol'"):
        services([(6, 1, 2)], columns={"service": "protocol"})


def test_all_null_columns():
    batch = pa.record_batch({n: pa.nulls(3) for n in ("protocol", "src_port", "dst_port")})
    enricher = ServicesEnricher(ServicesEnricherConfig())
    enricher.bind(batch.schema)
    assert enricher.apply(batch)["server_port"].null_count == 3


def labels(pairs, **options):
    src, dst = zip(*pairs, strict=True)
    batch = pa.record_batch({"src_addr": pa.array(src, TEXT), "dst_addr": pa.array(dst, TEXT)})
    enricher = LabelsEnricher(LabelsEnricherConfig(**options))
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    out.validate(full=True)
    assert out.schema.equals(schema, check_metadata=True)
    return out


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.255.255.255", "private"), ("172.31.0.1", "private"), ("172.32.0.0", "public"),
        ("192.168.0.1", "private"), ("100.64.0.1", "shared"), ("100.128.0.0", "public"),
        ("127.0.0.1", "loopback"), ("::1", "loopback"), ("0.0.0.0", "unspecified"),
        ("0.0.0.1", "reserved"), ("::", "unspecified"), ("169.254.169.254", "link_local"),
        ("fe80::1", "link_local"), ("febf::1", "link_local"), ("fec0::1", "reserved"),
        ("224.0.0.1", "multicast"), ("ff02::1", "multicast"), ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"), ("255.255.255.255", "broadcast"),
        ("192.0.2.1", "documentation"), ("2001:db8::1", "documentation"),
        ("198.19.255.255", "benchmarking"), ("fd12::1", "unique_local"), ("8.8.8.8", "public"),
        ("2606:4700::1", "public"), ("::ffff:10.0.0.1", "private"), ("4000::1", "reserved"),
        ("nonsense", None), (None, None),
    ],
)  # fmt: skip
def test_classes(address, expected):
    out = labels([(address, "8.8.8.8"), ("8.8.8.8", address)])
    assert out["src_class"].to_pylist() == [expected, "public"]
    assert out["dst_class"].to_pylist() == ["public", expected]
    assert expected is None or expected in CLASSES


def test_classes_agree_with_the_standard_library():
    texts = [f"{a}.{b}.{c}.7" for a in range(256) for b in (0, 64, 168, 254) for c in (0, 2, 100)]
    out = labels([(text, text) for text in texts])
    for text, found in zip(texts, out["src_class"].to_pylist(), strict=True):
        address = ipaddress.ip_address(text)
        assert (found == "multicast") == address.is_multicast, text
        assert (found == "loopback") == address.is_loopback, text
        assert (found == "link_local") == address.is_link_local, text
        if found == "public":
            assert address.is_global, text


def test_scope_by_default_takes_private_addresses_as_inside():
    out = labels(
        [
            ("10.0.0.1", "192.168.1.1"), ("10.0.0.1", "8.8.8.8"), ("8.8.8.8", "fd00::1"),
            ("8.8.8.8", "1.1.1.1"), ("10.0.0.1", "224.0.0.251"), ("8.8.8.8", None), ("x", "10.0.0.1"),
        ]
    )  # fmt: skip
    assert out["flow_scope"].to_pylist() == [
        "internal", "outbound", "inbound", "external", "internal", None, None,
    ]  # fmt: skip


def test_scope_by_own_networks():
    out = labels(
        [("198.51.100.1", "10.0.0.1"), ("10.0.0.1", "198.51.100.1"), ("10.0.0.1", "8.8.8.8")],
        networks=["198.51.100.0/24"],
        columns={"flow_scope": "way"},
    )
    assert out["way"].to_pylist() == ["outbound", "inbound", "external"]
    assert "src_class" not in out.schema.names


def test_bad_networks_are_refused_in_the_config():
    with pytest.raises(ValidationError, match=r"did you mean 10\.0\.0\.0/8"):
        LabelsEnricherConfig(networks=["10.0.0.1/8"])
