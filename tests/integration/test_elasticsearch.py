"""Real processes that write to a real OpenSearch, and are killed: each row is one document."""

import json
import os
import random
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.integration.sites import write_logs

pytestmark = [
    *(pytest.mark.service("opensearch"), pytest.mark.slow),
    pytest.mark.xdist_group("opensearch"),
]

ROOT = Path(__file__).parents[2]
KILLS, FILES, ROWS = 20, 40, 400


class Search:
    """A folder with logs and a pipeline that writes to an index of its own."""

    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.index = f"t{uuid.uuid4().hex[:10]}"
        self.rows = 0

    def write_logs(self, first, count, rows=ROWS):
        write_logs(self.folder / "logs", first, count, rows=rows, bad=0)
        self.rows += count * rows

    def write_config(self, enrichers=(), **sink):
        pipeline = {
            "name": "site",
            "source": {"type": "file", "paths": ["logs/"]},
            "decoder": {"type": "aws_vpc"},
            "enrichers": list(enrichers),
            "sinks": [
                {
                    "type": "elasticsearch",
                    "url": self.server.url,
                    "index": self.index,
                    "batch_rows": 250,
                    "retry_timeout": 60,
                    **sink,
                }
            ],
            "rejects": {"type": "file", "path": "rejects/", "limit": {"ratio": 1.0}},
            "state": {"path": "state/state.db"},
            "engine": {"workers": 2, "epoch_splits": 8, "task_size": 40000},
        }
        (self.folder / "p.yaml").write_text(json.dumps(pipeline))
        return self

    def start(self, verb="run", *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", verb, "p.yaml", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def finish(self, verb="run", *arguments):
        process = self.start(verb, *arguments)
        out, _ = process.communicate(timeout=300)
        return process.returncode, out.decode()

    def rejects(self):
        return [
            json.loads(line)
            for path in (self.folder / "rejects").rglob("*.jsonl")
            for line in path.read_text().splitlines()
        ]

    def sources(self):
        """What tells the rows of all documents apart."""
        found = self.server.documents(self.index)
        return [(doc["_source"]["source_uri"], doc["_source"]["source_pos"]) for doc in found]


@pytest.fixture
def search(tmp_path, opensearch_server):
    return Search(tmp_path, opensearch_server)


def test_twenty_kills_and_an_outage_and_each_row_is_one_document(search):
    search.write_config().write_logs(0, FILES)
    rng, kills, files = random.Random(3), 0, FILES
    while kills < KILLS:
        process = search.start()
        try:
            process.communicate(timeout=rng.uniform(0.5, 1.5))
            search.write_logs(files, 8)
            files += 8
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    search.write_logs(files, 8)
    search.server.server.kill()
    process = search.start()
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=2)
    search.server.server.start()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out.decode()
    found = search.sources()
    assert len(found) == len(set(found)) == search.rows


def test_what_the_mapping_refuses_is_rejected_and_the_rest_arrives(search):
    """A field of addresses takes no names of interfaces."""
    properties = {"interface_id": {"type": "keyword"}, "dst_port": {"type": "byte"}}
    search.server.ask("PUT", f"/{search.index}", {"mappings": {"properties": properties}})
    search.write_config().write_logs(0, 3)
    code, out = search.finish()
    assert code == 0, out
    rejects = search.rejects()
    assert {reject["reason"] for reject in rejects} == {"row_refused"}
    assert all("failed to parse field [dst_port]" in reject["detail"] for reject in rejects)
    assert {json.loads(reject["raw"])["dst_port"] for reject in rejects} == {443}
    assert 0 < len(rejects) < search.rows
    assert len(search.sources()) == search.rows - len(rejects)


def test_ecs_documents_in_a_data_stream_arrive_once(search):
    template = {
        "index_patterns": [f"{search.index}*"],
        "data_stream": {},
        "template": {
            "mappings": {"properties": {"source": {"properties": {"ip": {"type": "ip"}}}}}
        },
    }
    search.server.ask("PUT", f"/_index_template/{search.index}", template)
    search.write_config([{"type": "to_ecs", "keep": ["source_uri", "source_pos"]}]).write_logs(0, 3)
    assert search.finish()[0] == 0
    (search.folder / "state").rename(search.folder / "lost")
    code, out = search.finish()
    assert code == 0, out
    documents = search.server.documents(search.index)
    assert len(documents) == search.rows
    assert {doc["_index"].startswith(".ds-") for doc in documents} == {True}
    query = {"query": {"term": {"source.ip": "10.0.0.0/16"}}}
    assert search.server.ask("POST", f"/{search.index}/_count", query)["count"] == search.rows


def test_the_check_speaks_to_the_cluster_and_writes_nothing(search):
    search.write_config().write_logs(0, 1)
    code, out = search.finish("validate", "--connect")
    assert code == 0, out
    assert search.server.ask("GET", f"/_cat/indices/{search.index}*?format=json") == []
    search.write_config(url="http://127.0.0.1:1")
    code, out = search.finish("validate", "--connect")
    assert code == 69, out
    assert "127.0.0.1:1/_bulk does not answer" in " ".join(out.split())


def test_the_shipped_pipeline_runs(tmp_path, opensearch_server):
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("compose"))
    done = subprocess.run(
        [sys.executable, "-m", "ktrans", "run", "--json", "configs/elasticsearch.yaml"],
        cwd=tmp_path,
        env={**os.environ, "ELASTICSEARCH_URL": opensearch_server.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    stages = {stage["name"]: stage for stage in json.loads(done.stdout)["ledger"]["stages"]}
    documents = opensearch_server.documents("flows-20*")
    assert len(documents) == stages["elasticsearch"]["out"]["rows"] > 100
    assert all("source" in document["_source"] for document in documents)
