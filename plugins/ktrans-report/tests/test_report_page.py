"""The page itself: values of logs stay text, nothing is loaded, everything has a table."""

from __future__ import annotations

import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ktrans_report.options import Options
from ktrans_report.page import render
from ktrans_report.report import make

_spec = importlib.util.spec_from_file_location("made", Path(__file__).with_name("conftest.py"))
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)
flow = made.flow

HOSTILE = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "<svg onload=alert(1)>",
    "{{ 7 * 7 }} ${7*7} {% raw %}",
    "]]></style><!--",
    "a\x00b\x1b[31m\u202egnp.exe\u2028\ufffe",
    "\\u003c \\' ' \" ` datum.value",
    "&lt;b&gt; &amp;",
    "x" * 5000,
    "`code` and `more",
    "'; DROP TABLE flows; --",
]
TEXT_COLUMNS = [
    "account_id", "interface_id", "rule", "acl_id", "action_reason", "src_zone", "dst_zone",
    "src_region", "dst_region", "src_name", "dst_name", "src_addr", "path_class", "region", "zone",
]  # fmt: skip


class Outline(HTMLParser):
    """What the page is made of."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]


def outline(page):
    parser = Outline()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    rows = []
    for at, value in enumerate(HOSTILE):
        texts = dict.fromkeys(TEXT_COLUMNS, value)
        rows += [
            flow(at, **texts, action="reject"),
            flow(70 + at, **texts, log_status="SKIPDATA"),
            flow(at, **{**texts, "src_addr": "8.8.8.8"}, cost_estimate=0.5),
        ]
    path = tmp_path_factory.mktemp("hostile") / "a.parquet"
    pq.write_table(made.table(rows), path)
    options = Options(places=(str(path),), title=HOSTILE[0], top=20, price_internet=1.0)
    return render(make(options))


@pytest.mark.slow
def test_no_value_becomes_markup(hostile):
    found = outline(hostile)
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in hostile
    assert "\x00" not in hostile
    assert "\u202e" not in hostile
    assert "DROP TABLE" in hostile


@pytest.mark.slow
def test_values_are_shown_as_they_are(hostile):
    text = re.sub(r"<[^>]*>", " ", hostile)
    assert "{{ 7 * 7 }} ${7*7} {% raw %}" in text
    assert "&amp;lt;b&amp;gt; &amp;amp;" in text


@pytest.mark.slow
def test_the_page_asks_for_nothing(hostile):
    found = outline(hostile)
    policy = dict(found.attributes)["content"]
    assert "default-src 'none'" in hostile
    assert "script-src" not in policy
    links = [value for name, value in found.attributes if name in {"src", "href", "xlink:href"}]
    assert all(value.startswith(("#", "data:")) for value in links)
    assert not re.search(r"url\((?!#)", hostile)
    assert "@import" not in hostile


@pytest.mark.slow
def test_ids_are_unique_and_links_lead_somewhere(hostile):
    found = outline(hostile)
    assert len(found.ids) == len(set(found.ids))
    targets = {value[1:] for name, value in found.attributes if name == "href" and value[0] == "#"}
    assert targets <= set(found.ids)


@pytest.mark.slow
def test_each_drawing_has_words_and_a_table(hostile):
    assert hostile.count('role="img"') == hostile.count("<svg")
    for figure in re.findall(r"<figure.*?</figure>", hostile, re.DOTALL):
        assert "<table>" in figure
        assert '<p class="finding">' in figure
        if "<svg" in figure:
            assert figure.count("<svg") == 2
            assert "<details>" in figure


@pytest.mark.slow
def test_a_wide_lake_stays_a_small_page(lake):
    rows = [
        flow(
            minute * 60,
            src_addr=f"10.0.{minute % 50}.{account}",
            account_id=f"{account:012}",
            interface_id=f"eni-{account}-{minute % 9}",
            src_zone=f"zone-{account}",
            dst_zone=f"zone-{minute % 30}",
            src_region=f"region-{account}",
            dst_region=f"region-{minute % 30}",
        )
        for minute in range(24 * 14)
        for account in range(40)
    ]
    page = render(make(Options(places=(lake(rows),))))
    assert len(page.encode()) < 2_000_000


def test_the_cost_is_called_an_estimate(lake):
    rows = [flow(dst_addr="8.8.8.8", bytes=3_000_000_000)]
    report = make(Options(places=(lake(rows),), price_internet=0.09))
    (finding,) = (
        figure.finding for each in report.sections if each.id == "cost" for figure in each.figures
    )
    assert "0.27 USD" in finding
    assert "an estimate, not a bill" in finding
    free = make(Options(places=(lake(rows),)))
    assert not [tile for tile in free.tiles if "Cost" in tile.name]
    assert not [each for each in free.sections if "Cost" in each.title]
