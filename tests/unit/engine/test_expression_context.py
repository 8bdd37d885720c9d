"""What expressions take from the run: the time of the epoch, and lists in files."""

import json

import pytest

from ktrans.config.load import load_pipeline
from ktrans.engine.fleet.fingerprint import pipeline_fingerprint, referenced_files
from ktrans.registry.catalogue import Catalogue
from tests.unit.engine.log_site import Site


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def rows(site):
    return [
        json.loads(line)
        for path in (site.folder / "lines").glob("p.*")
        for line in path.read_text().splitlines()
    ]


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_now_is_the_same_in_all_tasks_of_an_epoch(site, executor):
    derive = {"type": "derive", "columns": {"seen": "now()"}}
    engine = {**site.original["engine"], "executor": executor}
    site.write({**site.original, "enrichers": [derive], "engine": engine})
    site.run()
    assert len({row["seen"] for row in rows(site)}) == 1
    site.write_logs("logs", 4)
    site.run()
    assert len({row["seen"] for row in rows(site)}) == 2


def test_a_list_of_prefixes_belongs_to_what_a_run_depends_on(site):
    (site.folder / "nets.txt").write_text("10.0.0.0/30\n")
    [lake, lines] = site.original["sinks"]
    where = "in_cidr(src_addr, file('nets.txt'))"
    site.write({**site.original, "sinks": [lake, {**lines, "where": where}]})
    pipeline = load_pipeline(site.path, Catalogue())
    assert list(referenced_files(pipeline)) == [site.folder / "nets.txt"]
    before = pipeline_fingerprint(pipeline)
    site.run()
    assert {row["src_addr"] for row in rows(site)} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    (site.folder / "nets.txt").write_text("10.0.0.4\n")
    assert pipeline_fingerprint(pipeline) != before
