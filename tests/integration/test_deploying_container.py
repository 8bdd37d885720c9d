"""The Dockerfiles: hadolint has nothing to say, and they keep what the documentation promises.

They are built by hand, by `examples/container/README.md`; here it is checked what can be without.
"""

import json
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/container"
DOCKERFILES = ["Dockerfile", "Dockerfile.plugin"]


def instructions(name):
    """The instructions of a Dockerfile: their names, and the rest on one line."""
    text = re.sub(r"^\s*#.*\n", "", (FOLDER / name).read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def final_stage(name):
    """The instructions since the last FROM, it included."""
    found = instructions(name)
    return found[max(at for at, (verb, _) in enumerate(found) if verb == "FROM") :]


@pytest.mark.service("hadolint")
@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(hadolint, name):
    ran = subprocess.run(
        [hadolint, "--no-color", FOLDER / name], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.service("hadolint")
def test_hadolint_would_say_something(hadolint, tmp_path):
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nRUN cd /tmp && pip install requests\n")
    ran = subprocess.run([hadolint, bad], capture_output=True, text=True, check=False)
    assert {"DL3007", "DL3013"} <= set(re.findall(r"DL\d+", ran.stdout))


def test_the_image_runs_ktrans_as_nobody_in_particular():
    final = dict(final_stage("Dockerfile"))
    uid, gid = map(int, final["USER"].split(":"))
    assert uid >= 10_000
    assert gid >= 10_000
    assert json.loads(final["ENTRYPOINT"]) == ["ktrans"], "no shell in between: it hears SIGTERM"
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert "HEALTHCHECK" not in final


def test_both_stages_have_the_same_base_so_that_the_environment_fits():
    bases = [rest.split()[0] for verb, rest in instructions("Dockerfile") if verb == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", bases[0])


def test_the_plugins_that_are_named_are_there():
    named = dict(
        rest.split("=", 1)
        for verb, rest in instructions("Dockerfile")
        if verb == "ARG" and "=" in rest
    )
    for plugin in json.loads(named["PLUGINS"]).split():
        assert (ROOT / f"plugins/ktrans-{plugin}/pyproject.toml").exists()


def test_a_plugin_takes_three_lines():
    verbs = [verb for verb, _ in final_stage("Dockerfile.plugin")]
    assert verbs == ["FROM", "USER", "RUN", "USER"]
    source = re.search(r"source=([^,]+)", dict(final_stage("Dockerfile.plugin"))["RUN"])[1]
    assert (ROOT / source / "pyproject.toml").exists()
    assert final_stage("Dockerfile.plugin")[-1] == ("USER", dict(final_stage("Dockerfile"))["USER"])


def ignored(path):
    """Tell whether .dockerignore keeps a path out: the last pattern that fits it, or a folder of it, decides."""
    keeps_out = False
    for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        allows = pattern.startswith("!")
        wanted = pattern.lstrip("!").split("/")
        parts = path.split("/")
        anywhere = wanted[0] == "**"
        wanted = wanted[1:] if anywhere else wanted
        starts = range(len(parts)) if anywhere else range(1)
        if any(
            len(parts[at:]) >= len(wanted) and all(map(fnmatch, parts[at:], wanted))
            for at in starts
        ):
            keeps_out = not allows
    return keeps_out


def test_what_wheels_are_made_of_goes_into_the_build_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = ["pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]]
    needed += ["ktrans/cli/root.py", "ktrans/testing/plugin.py", "ktrans/observe/page.html"]
    for plugin in sorted((ROOT / "plugins").iterdir()):
        package = plugin.name.replace("-", "_")
        files = ("pyproject.toml", "README.md", f"{package}/__init__.py")
        needed += [f"plugins/{plugin.name}/{file}" for file in files]
    assert all((ROOT / path).exists() for path in needed)
    assert [path for path in needed if ignored(path)] == []
    unwanted = [".git/config", ".venv/bin/python", "tests/conftest.py", "out/x", "docs/ends.md"]
    unwanted += ["ktrans/cli/__pycache__/root.pyc", "plugins/ktrans-aws/tests/test_s3.py"]
    assert [path for path in unwanted if not ignored(path)] == []


def test_the_file_of_constraints_that_the_documentation_names_reaches_the_build():
    readme = (FOLDER / "README.md").read_text()
    [row] = [line for line in readme.splitlines() if line.startswith("| `PIP_CONSTRAINT`")]
    [name] = re.findall(r"`([\w.]+\.txt)`", row)
    assert not ignored(name)
    assert ignored(f"out/{name}")
