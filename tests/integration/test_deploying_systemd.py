"""The units for systemd: systemd itself finds them right, and finds little that they leave open."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ktrans.api import ExitCode
from ktrans.cli.root import cli
from ktrans.config.settings import EngineSettings

UNITS = Path(__file__).parents[2] / "examples/systemd"
SERVICES = ["ktrans@.service", "ktrans-once@.service"]
HIGHEST_EXPOSURE = 15
"""In tenths. systemd calls up to 2.0 "OK"; 1.2 is what remains for a service on the network."""

pytestmark = pytest.mark.service("systemd")


def read(name):
    unit = configparser.RawConfigParser(strict=False, delimiters="=")
    unit.optionxform = str
    unit.read(UNITS / name)
    return unit


@pytest.fixture
def installed(tmp_path):
    """The units as they would be installed, with a program that is there."""
    for path in UNITS.glob("*.service"):
        text = path.read_text().replace("/opt/ktrans/bin/ktrans", "/bin/true")
        (tmp_path / path.name).write_text(text)
    for path in UNITS.glob("*.timer"):
        shutil.copy(path, tmp_path)
    drop_ins = tmp_path / "ktrans@.service.d"
    drop_ins.mkdir()
    shutil.copy(UNITS / "secrets.conf", drop_ins)
    return tmp_path


def test_systemd_finds_nothing_wrong_with_the_units(systemd_analyze, installed):
    units = sorted(path.name for path in installed.iterdir() if path.is_file())
    assert units == ["ktrans-once@.service", "ktrans-once@.timer", "ktrans@.service"]
    ran = subprocess.run(
        [systemd_analyze, "verify", "--man=no", *(f"./{unit}" for unit in units)],
        cwd=installed,
        env={"SYSTEMD_UNIT_PATH": f"{installed}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in ran.stderr.splitlines() if "ktrans" in line]
    assert (ran.returncode, ours) == (0, []), ran.stderr


def test_a_misspelt_directive_would_be_found(systemd_analyze, installed):
    unit = installed / "ktrans@.service"
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHoem="))
    ran = subprocess.run(
        [systemd_analyze, "verify", "--man=no", "./ktrans@.service"],
        cwd=installed,
        env={"SYSTEMD_UNIT_PATH": f"{installed}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ProtectHoem" in ran.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_little_is_left_open(systemd_analyze, installed, name):
    ran = subprocess.run(
        [
            systemd_analyze,
            "security",
            "--offline=yes",
            "--no-pager",
            f"--threshold={HIGHEST_EXPOSURE}",
            f"./{name}",
        ],
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Overall exposure level" in ran.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_the_command_line_is_one_that_ktrans_takes(name):
    program, verb, *arguments = shlex.split(read(name)["Service"]["ExecStart"])
    assert program == "/opt/ktrans/bin/ktrans"
    assert arguments[-1] == "/etc/ktrans/%i.yaml"
    filled = [word.replace("${KTRANS_HTTP}", ":9090") for word in arguments]
    cli.get_command(None, verb).make_context(verb, filled)


def test_what_may_pass_is_started_again_and_what_may_not_is_left():
    service = read("ktrans@.service")["Service"]
    left = {int(code) for code in service["RestartPreventExitStatus"].split()}
    passes = {ExitCode.UNAVAILABLE, ExitCode.TRY_LATER, ExitCode.INTERRUPTED, ExitCode.OK}
    assert left == set(ExitCode) - passes
    assert service["Restart"] == "on-failure"
    once = read("ktrans-once@.service")["Service"]
    assert {int(code) for code in once["SuccessExitStatus"].split()} == {69, 75}


@pytest.mark.parametrize("name", SERVICES)
def test_there_is_time_to_end_the_epoch_under_way(name):
    service = read(name)["Service"]
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > EngineSettings().grace_period


def test_both_services_are_confined_alike():
    def confinement(name):
        text = (UNITS / name).read_text()
        return re.search(r"^# What a process that.*?\n\n", text, re.DOTALL | re.MULTILINE)[0]

    assert confinement(SERVICES[0]) == confinement(SERVICES[1])
