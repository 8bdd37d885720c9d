"""Names of protocols: all of IANA's, and those that tools write."""

import pytest

from ktrans.flow.protocols import PROTOCOL_KEYWORDS, protocol_number

WITHOUT_KEYWORD = {61, 63, 68, 99, 114}
OFFICIAL = {0: "HOPOPT", 39: "TP++", 94: "IPIP", 107: "A/N", 124: "ISIS over IPv4", 132: "SCTP",
            135: "Mobility Header", 138: "manet", 139: "HIP", 140: "Shim6", 145: "NSH",
            147: "BIT-EMU"}  # fmt: skip


def test_every_assigned_number_has_its_keyword():
    assert set(PROTOCOL_KEYWORDS) == set(range(148)) - WITHOUT_KEYWORD
    assert all(protocol_number(word) == number for number, word in PROTOCOL_KEYWORDS.items())


@pytest.mark.parametrize(("number", "name"), OFFICIAL.items())
def test_names_are_read_as_iana_writes_them(number, name):
    assert protocol_number(name) == protocol_number(name.upper()) == number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ip-in-ip", 4),
        ("IPENCAP", 4),
        ("ipip", 94),
        ("icmpv6", 58),
        ("OSPF", 89),
        ("UDP-Lite", 136),
        ("any-local-network", 63),
        ("ip", None),
        ("unassigned", None),
        ("experimental", None),
        ("", None),
        ("T", None),
    ],
)
def test_other_names(name, number):
    assert protocol_number(name) == number
