"""What users see of these components: the README's options, and `validate --connect`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def ktrans(*args):
    return subprocess.run(
        [sys.executable, "-m", "ktrans", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_option_is_in_the_readme():
    from ktrans_gcp.gcs_sink import GcsSinkConfig
    from ktrans_gcp.gcs_source import GcsSourceConfig
    from ktrans_gcp.pubsub_sink_config import PubsubSinkConfig
    from ktrans_gcp.pubsub_source_config import PubsubSourceConfig

    text = README.read_text("utf-8")
    models = (GcsSinkConfig, GcsSourceConfig, PubsubSinkConfig, PubsubSourceConfig)
    names = {name for model in models for name in model.model_fields} - {"type"}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_registering_imports_no_sdk():
    code = (
        "import sys, ktrans_gcp; ktrans_gcp.ktrans_components();"
        "import ktrans_gcp.gcs_sink, ktrans_gcp.gcs_source;"
        "import ktrans_gcp.pubsub_sink, ktrans_gcp.pubsub_source;"
        "sys.exit(any(m.startswith(('google', 'grpc', 'requests')) for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.service("gcs")
@pytest.mark.service("pubsub")
def test_validate_connect_and_a_dry_run_and_a_run(gcs, topic, site, entry):
    """From a bucket to a topic; what is wrong with the outside is said with its fix."""
    gcs.put("logs/a.json", "\n".join(entry(number) for number in range(50)))
    sink = {
        "id": "out",
        "type": "pubsub",
        "project": topic.project,
        "topic": topic.topic,
        "endpoint": topic.endpoint,
    }
    site.write_config(gcs.options(prefix="logs/"), [sink])
    config = site.folder / "pipeline.yaml"
    done = ktrans("validate", "--connect", config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.run("--dry-run") == 0, site.stderr
    assert topic.receive_all() == []
    assert site.run() == 0, site.stderr
    got = {json.loads(message.data)["bytes"] for message in topic.receive(50)}
    assert got == set(range(50))
    site.write_config(gcs.options(prefix="logs/"), [{**sink, "topic": "no-such-thing"}])
    done = ktrans("validate", "--connect", config)
    assert done.returncode == 78
    assert "no-such-thing" in done.stdout + done.stderr


@pytest.mark.service("pubsub")
def test_rows_that_no_message_can_hold_go_to_the_rejects(topic, site, entry, tmp_path):
    logs = tmp_path / "logs.json"
    logs.write_text("".join(f"{entry(number)}\n" for number in range(20)))
    sink = {
        "id": "out",
        "type": "pubsub",
        "project": topic.project,
        "topic": topic.topic,
        "endpoint": topic.endpoint,
        "max_message_size": 100,
    }
    site.write_config({"type": "file", "paths": [str(logs)]}, [sink])
    assert site.run() == 0, site.stderr
    rejects = [
        json.loads(line)
        for path in (site.folder / "rejects").rglob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert len(rejects) == 20
    assert {reject["reason"] for reject in rejects} == {"message_too_large"}
    assert topic.receive_all() == []
