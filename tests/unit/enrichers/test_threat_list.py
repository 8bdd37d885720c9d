"""threat_list: lists as they are published, lookups by columns, validity and dates."""

import json
import os
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ktrans.api import ConfigError, Context
from ktrans.enrichers.threat_list import ThreatListEnricher, ThreatListEnricherConfig
from ktrans.flow.schema import TEXT

WRITTEN = datetime(2026, 11, 1, tzinfo=UTC)
START = datetime(2026, 11, 5, 12, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def make(folder, *lists, **options):
    given = []
    for at, (text, more) in enumerate(lists):
        name = more.pop("file", f"list{at}.txt")
        (folder / name).write_text(text, encoding="utf-8")
        os.utime(folder / name, (WRITTEN.timestamp(), WRITTEN.timestamp()))
        given.append({"name": f"list{at}", "file": name, **more})
    config = ThreatListEnricherConfig(lists=given, **options)
    return ThreatListEnricher(config, Context(base_dir=folder))


def rows(*src, dst=None, times=None, kind=TEXT):
    size = len(src)
    return pa.record_batch(
        {
            "start_time": pa.array(times or [START] * size, TIME),
            "src_addr": pa.array(src, kind),
            "dst_addr": pa.array(dst or [None] * size, kind),
        }
    )


def found(enricher, batch):
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    out.validate(full=True)
    return out.to_pydict()


SPAMHAUS = """; Spamhaus DROP List 2026/05/26 - (c) 2026 The Spamhaus Project SLU
; https://www.spamhaus.org/drop/drop.txt
; Last-Modified: Tue, 26 May 2026 11:00:16 GMT
; Expires: Tue, 26 May 2026 12:14:02 GMT
192.0.2.0/24 ; SBL256894
2001:db8:bad::/48 ; SBL434604
"""
SPAMHAUS_JSON = """{"cidr":"192.0.2.0/24","sblid":"SBL256894","rir":"apnic"}
{"cidr":"2001:db8:bad::/48","sblid":"SBL434604","rir":"ripencc"}
{"type":"metadata","timestamp":1779793216,"size":104462,"records":2,"copyright":"(c) 2026 The Spamhaus Project SLU","terms":"https://www.spamhaus.org/drop/terms/"}
"""
FIREHOL = """#
# firehol_level1
#
# ipv4 hash:net ipset
#
# Maintainer      : FireHOL
# List source URL :
# Source File Date: Sat May  2 20:55:03 UTC 2026
#
# Category        : attacks
# Version         : 32258
#
# This File Date  : Sat May  2 21:42:17 UTC 2026
# Update Frequency: 1 min
# Entries         : 3 subnets, 770 unique IPs
#
10.0.0.0/8
192.0.2.7
198.51.100.0/24
"""
FEODO = """################################################################
# abuse.ch Feodo Tracker Botnet C2 IP Blocklist (CSV)          #
# Last updated: 2026-03-04 14:28:39 UTC                        #
#                                                              #
# Terms Of Use: https://feodotracker.abuse.ch/blocklist/       #
################################################################
#
"first_seen_utc","dst_ip","dst_port","c2_status","last_online","malware"
"2022-06-04 21:24:53","192.0.2.9","8080","offline","2026-03-04","Emotet"
"2023-01-01 00:00:00","198.51.100.3","443","online","2026-03-03","QakBot"
# END (2 entries)
"""
SSLBL = """################################################################
# abuse.ch SSLBL Botnet C2 IP Blacklist (CSV)                  #
# Last updated: 2026-02-06 08:13:04 UTC                        #
################################################################
#
# Firstseen,DstIP,DstPort
2026-02-06 08:12:00,192.0.2.9,4443
"""
THREATFOX = """# Last updated: 2026-03-04 14:00:00 UTC #
# "first_seen_utc","ioc_id","ioc_value","ioc_type","threat_type","malware_printable","confidence_level"
"2026-03-04 13:50:01", "171", "192.0.2.9:8080", "ip:port", "botnet_cc", "Cobalt Strike", "75"
"2026-03-04 13:49:01", "172", "evil.example", "domain", "botnet_cc", "Vidar", "100"
"""
FEODO_JSON = json.dumps(
    [
        {
            "ip_address": "192.0.2.9",
            "port": 8080,
            "status": "offline",
            "hostname": None,
            "malware": "Emotet",
        }
    ]
)
DSHIELD = """#
#  DShield.org Recommended Block List
#    updated: 2026-08-12T00:00:26.057308
#
Start\tEnd\tNetblock\tAttacks\tName\tCountry\temail
192.0.2.0\t192.0.2.255\t24\t2412\tEXAMPLE\tUS\tabuse@example.net
"""
EMERGING = (
    "#\n# Emerging Threats fwip rules.\n# Rev 4321\n#Spamhaus DROP Nets\n192.0.2.0/24\n192.0.2.9\n"
)
ALIENVAULT = "# Generated at 2026-08-11 10:00:00\n192.0.2.9 # Malicious Host CN,,39.9,116.4\n"
MISP_LIST = json.dumps(
    {
        "name": "Known bad",
        "type": "cidr",
        "version": 20260801,
        "list": ["192.0.2.0/24", "2001:db8::1"],
    }
)
MISP_EVENT = json.dumps(
    {
        "Event": {
            "info": "Wave of phishing",
            "date": "2026-08-01",
            "timestamp": "1785576000",
            "Attribute": [
                {"type": "ip-dst|port", "value": "192.0.2.9|443", "to_ids": True},
                {"type": "ip-src", "value": "198.51.100.3", "to_ids": False},
                {"type": "md5", "value": "00", "to_ids": True},
            ],
            "Object": [
                {"Attribute": [{"type": "domain", "value": "evil.example", "to_ids": True}]}
            ],
        }
    }
)
OTX = json.dumps(
    {
        "results": [
            {
                "name": "Botnet of the week",
                "modified": "2026-08-02T03:04:05.000000",
                "references": ["https://example.org"],
                "indicators": [
                    {"indicator": "192.0.2.9", "type": "IPv4", "is_active": 1},
                    {"indicator": "198.51.100.3", "type": "IPv4", "is_active": 0},
                    {"indicator": "evil.example", "type": "domain"},
                ],
            }
        ]
    }
)
AT = {
    "spamhaus": (SPAMHAUS, {}, "SBL256894", datetime(2026, 5, 26, 11, 0, 16, tzinfo=UTC)),
    "spamhaus_json": (
        SPAMHAUS_JSON, {"label": "sblid"}, "SBL256894", datetime(2026, 5, 26, 11, 0, 16, tzinfo=UTC)
    ),
    "feodo": (
        FEODO, {"label": "malware"}, "Emotet", datetime(2026, 3, 4, 14, 28, 39, tzinfo=UTC)
    ),
    "feodo_by_name": (
        FEODO, {"column": "dst_ip"}, None, datetime(2026, 3, 4, 14, 28, 39, tzinfo=UTC)
    ),
    "feodo_json": (FEODO_JSON, {"label": "malware"}, "Emotet", WRITTEN),
    "sslbl": (
        SSLBL, {"column": "DstIP", "category": "c2"}, "c2", datetime(2026, 2, 6, 8, 13, 4, tzinfo=UTC)
    ),
    "threatfox": (
        THREATFOX, {"label": "malware_printable"}, "Cobalt Strike",
        datetime(2026, 3, 4, 14, tzinfo=UTC),
    ),
    "by_number": ("192.0.2.9,bad\n", {"column": 1, "label": 2}, "bad", WRITTEN),
    "dshield": (DSHIELD, {}, None, datetime(2026, 8, 12, 0, 0, 26, 57308, tzinfo=UTC)),
    "emerging": (EMERGING, {}, None, WRITTEN),
    "alienvault": (
        ALIENVAULT, {}, "Malicious Host CN,,39.9,116.4", datetime(2026, 8, 11, 10, tzinfo=UTC)
    ),
    "misp_list": (MISP_LIST, {}, "Known bad", WRITTEN),
    "misp_event": (
        MISP_EVENT, {}, "Wave of phishing", datetime.fromtimestamp(1785576000, UTC)
    ),
    "otx": (OTX, {}, "Botnet of the week", datetime(2026, 8, 2, 3, 4, 5, tzinfo=UTC)),
}  # fmt: skip


@pytest.mark.parametrize("name", AT)
def test_lists_are_read_as_they_are_published(tmp_path, name):
    text, more, label, date = AT[name]
    enricher = make(tmp_path, (text, dict(more)))
    got = found(enricher, rows("192.0.2.9", "203.0.113.1", None))
    assert got["src_threat"] == ["list0", None, None]
    assert got["src_threat_label"] == [label, None, None]
    assert got["threat_list_as_of"] == [date, None, None]


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        ("192.0.2.0 192.0.2.255 24 100", ["192.0.2.0", "192.0.2.77"]),
        ("192.0.2.0 evil.example 24", ["192.0.2.0"]),
        ("192.0.2.0 198.51.100.9 24", ["192.0.2.0"]),
        ("192.0.2.0 10.0.0.0/8 24", ["192.0.2.0"]),
        ("192.0.2.0 192.0.2.255 150", ["192.0.2.0"]),
    ],
)
def test_a_number_behind_an_address_is_a_length_only_in_a_range(tmp_path, line, listed):
    tried = ["192.0.2.0", "192.0.2.77"]
    got = found(make(tmp_path, (line, {})), rows(*tried))
    assert [one for one, name in zip(tried, got["src_threat"], strict=True) if name] == listed


def test_the_own_names_in_a_hosts_file_are_no_threats(tmp_path):
    text = (
        "127.0.0.1 localhost\n::1 localhost\n255.255.255.255 broadcasthost\n0.0.0.0 0.0.0.0\n"
        "0.0.0.0 evil.example # ads\n"
    )
    enricher = make(tmp_path, (text, {}), domains=["name"])
    tried = ["127.0.0.1", "::1", "255.255.255.255", "0.0.0.0"]
    batch = rows(*tried)
    names = pa.array(["evil.example"] * len(tried))
    got = found(enricher, batch.append_column("name", names))
    assert got["src_threat"] == [None] * len(tried)
    assert got["name_threat"] == ["list0"] * len(tried)


def test_a_column_of_addresses_is_found_below_other_rows_and_behind_names_like_domains(tmp_path):
    text = THREATFOX.replace(
        '"2026-03-04 13:50:01"',
        '"2026-03-04 13:50:02", "170", "http://x.example/a", "url", "win.remcos", "Remcos", "50"\n'
        '"2026-03-04 13:50:01"',
    ).replace("botnet_cc", "win.remcos")
    got = found(make(tmp_path, (text, {"label": "malware_printable"})), rows("192.0.2.9"))
    assert got["src_threat_label"] == ["Cobalt Strike"]
    text = text.replace('"win.remcos", "Remcos"', '"unknown", "Remcos"')
    got = found(make(tmp_path, (text, {"label": "malware_printable"})), rows("192.0.2.9"))
    assert got["src_threat_label"] == ["Cobalt Strike"]


def test_names_of_columns_may_look_like_domains(tmp_path):
    header = "threat.indicator.ip,threat.indicator.provider"
    options = {"column": "threat.indicator.ip", "label": "threat.indicator.provider"}
    got = found(make(tmp_path, (f"{header}\n192.0.2.1,abuse\n", options)), rows("192.0.2.1"))
    assert got["src_threat_label"] == ["abuse"]


def test_a_domain_below_a_header_in_a_comment_is_no_header(tmp_path):
    enricher = make(
        tmp_path, ("# name,kind\nevil.example,kind\n", {"label": "kind"}), domains=["n"]
    )
    batch = rows("192.0.2.1").append_column("n", pa.array(["evil.example"]))
    assert found(enricher, batch)["n_threat_label"] == ["kind"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"more": False},
        {"type": "bundle", "id": "bundle--1"},
        {"response": []},
        {"response": {"Attribute": []}},
        {"results": [], "count": 0},
    ],
)
def test_an_answer_without_results_is_an_empty_list(tmp_path, document):
    enricher = make(tmp_path, (json.dumps(document), {}))
    assert found(enricher, rows("192.0.2.1"))["src_threat"] == [None]


def test_attributes_that_a_search_of_misp_answers(tmp_path):
    attribute = {
        "type": "ip-dst", "value": "192.0.2.1", "to_ids": True, "category": "Network activity",
    }  # fmt: skip
    named = {**attribute, "value": "192.0.2.2", "Event": {"info": "Wave"}}
    document = {"response": {"Attribute": [attribute, named, {**attribute, "to_ids": False}]}}
    got = found(
        make(tmp_path, (json.dumps(document), {})), rows("192.0.2.1", "192.0.2.2", "192.0.2.3")
    )
    assert got["src_threat_label"] == ["Network activity", "Wave", None]


@pytest.mark.parametrize("by_id", [True, False])
def test_json_of_threatfox(tmp_path, by_id):
    one = {"ioc_value": "192.0.2.9:8080", "malware": "win.remcos", "malware_printable": "Remcos"}
    document = {"171": [one], "172": [{**one, "ioc_value": "http://x.example/"}]}
    if not by_id:
        document = {"query_status": "ok", "data": [some[0] for some in document.values()]}
    enricher = make(tmp_path, (json.dumps(document), {"label": "malware_printable"}))
    assert found(enricher, rows("192.0.2.9"))["src_threat_label"] == ["Remcos"]


@pytest.mark.parametrize(
    "more",
    ["# Next update: 2026-08-12 10:00:00", "# Expiration date: 2027-01-01", "; Expires: 2027"],
)
def test_a_date_to_come_is_not_that_of_the_list(tmp_path, more):
    text = f"# Last updated: 2026-08-11\n{more}\n192.0.2.1\n"
    got = found(make(tmp_path, (text, {})), rows("192.0.2.1"))
    assert got["threat_list_as_of"] == [datetime(2026, 8, 11, tzinfo=UTC)]
    got = found(make(tmp_path, (f"{more}\n192.0.2.1\n", {})), rows("192.0.2.1"))
    assert got["threat_list_as_of"] == [WRITTEN]


def test_a_row_is_on_every_list_that_holds_one_of_its_ends_and_has_the_oldest_date(tmp_path):
    enricher = make(tmp_path, (SPAMHAUS, {"name": "drop"}), (FIREHOL, {"name": "level1"}))
    batch = rows(
        "192.0.2.7", "192.0.2.8", "2001:db8:bad::1", "::ffff:10.1.2.3", "8.8.8.8", "no address", None,
        dst=["8.8.8.8", "198.51.100.1", None, None, "10.0.0.1", None, None],
    )  # fmt: skip
    got = found(enricher, batch)
    assert got["src_threat"] == ["drop,level1", "drop", "drop", "level1", None, None, None]
    assert got["dst_threat"] == [None, "level1", None, None, "level1", None, None]
    drop = datetime(2026, 5, 26, 11, 0, 16, tzinfo=UTC)
    level1 = datetime(2026, 5, 2, 21, 42, 17, tzinfo=UTC)
    assert got["threat_list_as_of"] == [level1, level1, drop, level1, level1, None, None]
    assert got["src_threat_label"][:3] == ["SBL256894", "SBL256894", "SBL434604"]


def test_only_the_texts_that_rows_have_are_made(tmp_path):
    text = "ip,seen\n" + "".join(f"192.0.2.1,{i:03d}\n" for i in range(200))
    batch = rows("192.0.2.1", "192.0.2.2")
    enricher = make(tmp_path, (text, {"label": "seen"}))
    enricher.bind(batch.schema)
    labels = enricher.apply(batch)["src_threat_label"]
    assert labels.to_pylist() == ["; ".join(f"{i:03d}" for i in range(200)), None]
    assert len(labels.dictionary) == 1


@pytest.mark.parametrize("kind", [TEXT, pa.string(), pa.large_string()])
def test_networks_in_networks_are_all_found(tmp_path, kind):
    nested = "10.0.0.0/8 ; a\n10.1.0.0/16 ; b\n10.1.2.3 ; c\n10.1.2.3 ; d\n10.1.2.4 ; e\n10.9.9.9/8 ; f\n"
    enricher = make(tmp_path, (nested, {}), as_of_column=None)
    got = found(
        enricher, rows("10.1.2.3", "10.1.2.4", "10.1.9.9", "10.200.0.1", "11.0.0.0", kind=kind)
    )
    assert [set((one or "").split("; ")) for one in got["src_threat_label"]] == [
        set("abcdf"), set("abef"), set("abf"), set("af"), {""},
    ]  # fmt: skip
    assert "threat_list_as_of" not in got


def test_domains_are_on_a_list_with_the_domains_above_them(tmp_path):
    hosts = "# hosts file\n127.0.0.1 localhost.localdomain\n0.0.0.0 evil.example\n*.worse.example\nBad.Example.\n"
    enricher = make(tmp_path, (hosts, {}), addresses=[], domains=["src_addr"], labels=False)
    names = [
        "evil.example",
        "www.EVIL.example.",
        "notevil.example",
        "worse.example",
        "x.bad.example",
    ]
    got = found(enricher, rows(*names))
    assert got["src_threat"] == ["list0", "list0", None, "list0", "list0"]
    assert "src_threat_label" not in got


def indicator(pattern, **more):
    return {
        "type": "indicator", "spec_version": "2.1", "id": f"indicator--{pattern}", "name": "C2 server",
        "created": "2026-10-01T00:00:00.000Z", "modified": "2026-10-02T00:00:00.000Z",
        "pattern": pattern, "pattern_type": "stix", "valid_from": "2026-10-01T00:00:00Z", **more,
    }  # fmt: skip


def bundle(*objects):
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)})


@pytest.mark.parametrize(
    ("pattern", "listed"),
    [
        ("[ipv4-addr:value = '192.0.2.1']", ["192.0.2.1"]),
        ("[ipv4-addr:value='192.0.2.1' OR ipv4-addr:value = '192.0.2.2']", ["192.0.2.1", "192.0.2.2"]),
        ("[ipv4-addr:value = '192.0.2.1'] OR [ipv6-addr:value = '2001:db8::1']", ["192.0.2.1", "2001:db8::1"]),
        ("[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]", ["192.0.2.1", "192.0.2.2"]),
        ("[ipv4-addr:value ISSUBSET '192.0.2.0/30']", ["192.0.2.1", "192.0.2.2"]),
        ("([ipv4-addr:value = '192.0.2.1'] AND [file:size = 3]) OR [ipv4-addr:value = '192.0.2.2'] WITHIN 5 SECONDS", ["192.0.2.2"]),
        ("[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.1']", ["192.0.2.1"]),
        ("[file:hashes.'SHA-256' = 'ab' OR ipv4-addr:value = '192.0.2.1']", ["192.0.2.1"]),
        ("[ipv4-addr:value = '192.0.2.1' AND network-traffic:dst_port = 443]", []),
        ("[ipv4-addr:value != '192.0.2.1']", []),
        ("[NOT ipv4-addr:value = '192.0.2.1']", []),
        ("[ipv4-addr:value NOT = '192.0.2.1']", []),
        ("[ipv4-addr:value = '192.0.2.1'] FOLLOWEDBY [ipv4-addr:value = '192.0.2.2']", []),
        ("[ipv4-addr:value = '192.0.2.1'] OR [ipv4-addr:value = '192.0.2.2'] FOLLOWEDBY [file:size = 1]", []),
        ("[ipv4-addr:value = '192.0.2.1'] REPEATS 5 TIMES", []),
        ("[ipv4-addr:value = '192.0.2.1'", []),
        ("[url:value = 'http://192.0.2.1/']", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_pattern_counts_as_far_as_one_address_is_enough(tmp_path, pattern, listed):
    enricher = make(tmp_path, (bundle(indicator(pattern)), {}))
    tried = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.99"]
    got = found(enricher, rows(*tried))
    assert [one for one, name in zip(tried, got["src_threat"], strict=True) if name] == listed


def test_indicators_count_while_they_are_valid_and_by_the_time_of_the_row(tmp_path):
    text = bundle(
        indicator("[ipv4-addr:value = '192.0.2.1']", valid_until="2026-10-10T00:00:00Z"),
        indicator(
            "[ipv4-addr:value  = '192.0.2.1']", valid_from="2026-11-01T00:00:00Z", name="again"
        ),
        indicator(
            "[ipv4-addr:value = '192.0.2.0/24']", valid_from="2026-10-09T00:00:00Z", name="net"
        ),
    )
    enricher = make(tmp_path, (text, {}))
    days = ["2026-09-30", "2026-10-01", "2026-10-09", "2026-10-10", "2026-11-01"]
    times = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days]
    got = found(enricher, rows(*["192.0.2.1"] * 6, times=[*times, None]))
    labels = [set(one.split("; ")) if one else None for one in got["src_threat_label"]]
    assert labels == [None, {"C2 server"}, {"C2 server", "net"}, {"net"}, {"net", "again"}, None]
    assert got["threat_list_as_of"][1] == datetime(2026, 10, 2, tzinfo=UTC)
    assert "start_time" in enricher.reads()


def test_what_an_indicator_says_of_itself(tmp_path):
    one = "[ipv4-addr:value = '192.0.2.{}']"
    text = bundle(
        indicator(one.format(1), revoked=True),
        indicator(one.format(2), confidence=20),
        indicator(one.format(3), confidence=80),
        indicator(one.format(4)),
        indicator(one.format(5), indicator_types=["benign"]),
        indicator("alert tcp 192.0.2.6", pattern_type="snort"),
        indicator(one.format(7), id="indicator--7"),
        indicator(one.format(7), id="indicator--7", revoked=True, modified="2026-10-03T00:00:00Z"),
        {"type": "ipv4-addr", "id": "ipv4-addr--1", "value": "192.0.2.8"},
        indicator(one.format(9), labels=["benign"]),  # how STIX 2.0 says it
    )
    enricher = make(tmp_path, (text, {"min_confidence": 50}))
    got = found(enricher, rows(*[f"192.0.2.{i}" for i in range(1, 10)]))
    assert [i + 1 for i, name in enumerate(got["src_threat"]) if name] == [3, 4]


def test_indicators_without_an_id_and_with_times_at_the_end_of_the_calendar_count(tmp_path):
    objects = [indicator(f"[ipv4-addr:value = '192.0.2.{i}']") for i in (1, 2)]
    for one in objects:
        del one["id"]
        one["valid_until"] = "9999-12-31T23:59:59-05:00"
    got = found(make(tmp_path, (bundle(*objects), {})), rows("192.0.2.1", "192.0.2.2"))
    assert got["src_threat"] == ["list0"] * 2


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        ("<html>\n<body>\nNot found\n</body>\n</html>", {}, "not a list"),
        ("{", {}, "not a list"),
        ('{"error": "quota"}', {}, "not a list"),
        ('{"Event": {"Attribute": ["192.0.2.1"]}}', {}, "other kinds"),
        ('{"indicators": ["192.0.2.1"]}', {}, "other kinds"),
        ("[" * 100_000, {}, "not a list"),
        ('[["192.0.2.1"], ["192.0.2.2"]]', {}, "2 of its entries are neither"),
        (FEODO, {"column": "nope"}, "no column 'nope'"),
        ("192.0.2.1,x\n", {"column": "ip"}, "no column 'ip'"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, text, more, says):
    enricher = make(tmp_path, (text, more))
    with pytest.raises(ConfigError, match=says) as error:
        enricher.bind(rows("192.0.2.1").schema)
    assert error.value.field == "lists.0.file"


def test_a_label_that_is_no_text_is_left_out(tmp_path):
    pulse = {"name": {"en": "scanners"}, "indicators": [{"type": "IPv4", "indicator": "192.0.2.1"}]}
    with make(tmp_path, (json.dumps(pulse), {})) as enricher:
        got = found(enricher, rows("192.0.2.1"))
    assert (got["src_threat"], got["src_threat_label"]) == (["list0"], [None])


def test_an_empty_list_is_one_that_nothing_is_on(tmp_path):
    enricher = make(tmp_path, ("# Last updated: 2026-03-04 14:28:39 UTC\n# END 0 entries\n", {}))
    assert found(enricher, rows("192.0.2.1"))["src_threat"] == [None]
    assert found(make(tmp_path, ("[]", {})), rows("192.0.2.1"))["src_threat"] == [None]


def test_some_unreadable_entries_are_logged_and_the_others_used(tmp_path, caplog):
    enricher = make(tmp_path, ("192.0.2.1\nrubbish\n192.0.2.2\n", {}))
    assert found(enricher, rows("192.0.2.2"))["src_threat"] == ["list0"]
    assert "1 entries of list0 are neither addresses nor domains" in caplog.text


def test_texts_among_the_objects_of_json_are_entries(tmp_path, caplog):
    text = '[{"ip": "192.0.2.1"}, "192.0.2.2", 7]'
    got = found(make(tmp_path, (text, {})), rows("192.0.2.1", "192.0.2.2"))
    assert got["src_threat"] == ["list0"] * 2
    assert "1 entries of list0 are neither addresses nor domains" in caplog.text


def test_a_missing_list_and_bad_options(tmp_path):
    enricher = make(tmp_path, (FEODO, {}))
    (tmp_path / "list0.txt").unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        enricher.check()
    for options in ({"naming": "{side}"}, {"lists": []}, {"lists": [{"name": "a,b", "file": "x"}]}):
        with pytest.raises(ValidationError):
            ThreatListEnricherConfig(**{"lists": [{"name": "a", "file": "x"}], **options})
    with pytest.raises(ValidationError, match="two lists"):
        ThreatListEnricherConfig(lists=[{"name": "a", "file": "x"}] * 2)
    with pytest.raises(ConfigError, match="already a column"):
        make(tmp_path, (FEODO, {}), as_of_column="src_addr").bind(rows("x").schema)


def test_lookups_agree_with_a_slow_search(tmp_path):
    import ipaddress
    import random

    chance = random.Random(7)
    nets = [
        ipaddress.ip_network(
            (chance.getrandbits(32) & 0x0FFFFFFF, chance.choice([6, 8, 12, 24, 32])), strict=False
        )
        for _ in range(300)
    ]
    text = "".join(f"{net} ; {i}\n" for i, net in enumerate(nets))
    tried = [str(ipaddress.ip_address(chance.getrandbits(28))) for _ in range(500)]
    got = found(make(tmp_path, (text, {})), rows(*tried))
    for address, label in zip(tried, got["src_threat_label"], strict=True):
        expected = {str(i) for i, net in enumerate(nets) if ipaddress.ip_address(address) in net}
        assert set(label.split("; ") if label else ()) == expected
    later = [START + timedelta(days=1)] * 500
    assert found(make(tmp_path, (text, {})), rows(*tried, times=later)) | {
        "start_time": 0
    } == got | {"start_time": 0}
