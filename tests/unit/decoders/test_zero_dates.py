"""Dates of zeros, which databases write for no date: the column is null, and the row stays."""

import json

FIELDS = {"start_time": "start", "end_time": "end", "src_addr": "src", "dst_addr": "dst"}


def test_a_start_of_zeros_is_null_and_kept_in_attrs(run):
    flow = {"src": "10.0.0.1", "dst": "10.0.0.2", "end": "2026-01-01T00:00:05Z"}
    starts = ("2026-01-01T00:00:00Z", "0000-00-00 00:00:00", "0000-00-00", "yesterday")
    lines = "\n".join(json.dumps({**flow, "start": start}) for start in starts)
    found = run(lines, decoder="flow_json", fields=FIELDS)
    assert [row["start_time"] is None for row in found.rows] == [False, True, True]
    assert dict(found.rows[1]["attrs"]) == {"start": "0000-00-00 00:00:00"}
    assert [reject["reason"] for reject in found.rejects] == ["bad_timestamp"]
