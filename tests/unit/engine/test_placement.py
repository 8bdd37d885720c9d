"""What `validate` and `plan` say about how far the tasks of a pipeline can be spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ktrans.api import ConfigError
from ktrans.config.load import load_pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.placement import Placement, check_spread, placement
from ktrans.registry.catalogue import Catalogue

S3 = "{type: s3, bucket: b, region: eu-central-1, path: out/}"


def placed(folder: Path, **parts: str) -> Placement:
    """Return the placement of a pipeline with these parts, otherwise of S3 to S3."""
    (folder / "nets.csv").write_text("prefix,name\n10.0.0.0/8,office\n")
    given = {
        "source": "{type: s3, bucket: a, region: eu-central-1}",
        "enrichers": "[]",
        "sinks": f"[{S3}]",
        "rejects": S3.replace("out/", "rejects/"),
        **parts,
    }
    path = folder / "flows.yaml"
    path.write_text("version: 1\n" + "".join(f"{key}: {value}\n" for key, value in given.items()))
    catalogue = Catalogue()
    assembly = assemble(load_pipeline(path, catalogue), catalogue)
    try:
        return placement(assembly)
    finally:
        assembly.close()


ENRICHED: list[tuple[str, str]] = [
    ("{type: sql, query: select * from flows}", "anywhere"),
    ("{type: sql, query: select * from flows, files: true}", "machine"),
    ("{type: aws_metadata, regions: [eu-central-1]}", "process"),
    ("{type: dedupe}", "task"),
]


@pytest.mark.parametrize(
    ("parts", "spread", "text"),
    [
        ({}, "anywhere", "processes and machines"),
        (
            {"sinks": "[{type: file, path: out/}]"},
            "machine",
            "processes of this machine; bound by sink file (writes to a local path)",
        ),
        (
            {"source": "{type: stdin}", "sinks": "[{type: stdout}]"},
            "process",
            "bound by sink stdout (rows wait in the memory of the process that prints them)",
        ),
        *(
            ({"enrichers": f"[{enricher}]"}, spread, f"bound by enricher {enricher[7:10]}")
            for enricher, spread in ENRICHED[1:]
        ),
    ],
)
def test_it_names_the_components_that_bind_and_why(
    tmp_path: Path, parts: dict[str, Any], spread: str, text: str
) -> None:
    found = placed(tmp_path, **parts)
    assert found.spread == spread
    assert text in str(found)
    assert found.to_json()["text"] == str(found)


def test_what_follows_a_merge_does_not_bind(tmp_path: Path) -> None:
    """The process that runs the pipeline merges partial totals and writes; tasks write rejects only."""
    rollup = "{type: rollup, window: 1m}"
    found = placed(tmp_path, enrichers=f"[{rollup}]", sinks="[{type: stdout}]")
    assert found.spread == "anywhere"
    again = "{type: rollup, window: 1h, time: [window_start], id: hours}"
    assert placed(tmp_path, enrichers=f"[{rollup}, {again}]").spread == "anywhere"
    found = placed(tmp_path, enrichers="[{type: dedupe}, " + rollup + "]", sinks="[{type: stdout}]")
    assert found.spread == "task"
    found = placed(tmp_path, enrichers=f"[{rollup}]", rejects="{type: file, path: rejects/}")
    assert found.spread == "machine"


def test_the_default_rejects_are_local_files(tmp_path: Path) -> None:
    found = placed(tmp_path, rejects="{type: file, path: rejects/}")
    assert str(found) == "processes of this machine; bound by sink rejects (writes to a local path)"


def test_tables_do_not_bind_but_are_named(tmp_path: Path) -> None:
    found = placed(tmp_path, enrichers="[{type: cidr, table: nets.csv}]")
    assert str(found) == f"processes and machines; each machine needs {tmp_path / 'nets.csv'}"


def test_an_executor_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    found = placed(tmp_path, sinks="[{type: file, path: out/}]")
    check_spread(found, "processes", "machine")
    with pytest.raises(ConfigError) as error:
        check_spread(found, "ray", "anywhere")
    assert error.value.code == "cannot_spread"
    assert "sink file (writes to a local path)" in error.value.message
    assert error.value.hint is not None
    assert "`processes` or `threads`" in error.value.hint
