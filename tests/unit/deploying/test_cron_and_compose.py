"""The crontab and the compose file: lines that cron takes and ktrans understands; servers for one machine."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from ktrans.cli.root import cli

EXAMPLES = Path(__file__).parents[3] / "examples"
FIELD = re.compile(r"(\*|\d+(-\d+)?)(/\d+)?(,(\*|\d+(-\d+)?)(/\d+)?)*")
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


def lines():
    text = (EXAMPLES / "cron/ktrans").read_text()
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def jobs():
    return [line for line in lines() if not re.match(r"[A-Z_]+=", line)]


def test_it_can_lie_in_cron_d():
    """Debian's cron(8): names in /etc/cron.d have no dots, files end with a newline."""
    assert (EXAMPLES / "cron/ktrans").read_text().endswith("\n")
    assert {line.partition("=")[0] for line in lines() if line not in jobs()} >= {"PATH", "MAILTO"}


@pytest.mark.parametrize("job", jobs())
def test_each_job_is_one_that_cron_and_ktrans_take(job):
    *when, user, command = job.split(maxsplit=6)
    assert len(when) == 5
    for field, (low, high) in zip(when, BOUNDS, strict=True):
        assert FIELD.fullmatch(field)
        numbers = [int(number) for number in re.findall(r"(?<!/)\b\d+", field)]
        assert all(low <= number <= high for number in numbers)
    assert user == "ktrans"
    assert "%" not in command, "cron makes a new line of it"
    program, *words = shlex.split(command)
    assert program == "ktrans"
    if words[0] == "run":
        cli.get_command(None, "run").make_context("run", words[1:])
        assert words[words.index("--if-locked") + 1] == "skip"
    else:
        verb = cli.get_command(None, words[0]).get_command(None, words[1])
        verb.make_context(words[1], words[2:])


def test_the_servers_to_try_are_reached_from_this_machine_only_and_pinned():
    compose = yaml.safe_load((EXAMPLES / "compose/compose.yaml").read_text())
    volumes = set(compose["volumes"])
    for name, service in compose["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        assert re.search(r":\d+\.\d+(\.\d+)?$", service["image"]), name
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= volumes


def test_the_readme_names_every_server_and_port():
    compose = yaml.safe_load((EXAMPLES / "compose/compose.yaml").read_text())
    readme = (EXAMPLES / "compose/README.md").read_text()
    for name, service in compose["services"].items():
        (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{name}`")]
        for port in service["ports"]:
            assert f":{port.split(':')[1]}" in row, f"{name}: {port}"


def test_kafka_keeps_its_data_on_its_volume():
    """Without KAFKA_LOG_DIRS it is in /tmp of the container, and gone with that."""
    kafka = yaml.safe_load((EXAMPLES / "compose/compose.yaml").read_text())["services"]["kafka"]
    [(_, folder)] = [volume.split(":") for volume in kafka["volumes"]]
    assert kafka["environment"]["KAFKA_LOG_DIRS"] == folder
