"""All distributions follow one version, depend on each other by compatible ranges, and build."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.version import Version
from ruamel.yaml import YAML

from ktrans import __version__

ROOT = Path(__file__).parents[2]
VERSION = Version(__version__)
NEXT = f"{VERSION.major}.{VERSION.minor + 1}"
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
NATIVE = ROOT / "plugins/ktrans-native"
DISTRIBUTIONS = [ROOT, *(folder for folder in PLUGINS if folder != NATIVE)]


def read_toml(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())


def assert_compatible(requirement):
    """Assert that a range holds this version and its bug fixes, and no minor version after it."""
    specifier = requirement.specifier
    assert __version__ in specifier, f"{requirement} excludes {__version__}"
    assert f"{VERSION.major}.{VERSION.minor}.999" in specifier, f"{requirement} excludes fixes"
    assert NEXT not in specifier, f"{requirement} allows {NEXT}"


def find_requirement(requirements, name):
    return next(found for text in requirements if (found := Requirement(text)).name == name)


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_the_version_of_each_distribution_is_that_of_the_core(folder):
    tree = read_toml(folder)
    assert tree["project"]["dynamic"] == ["version"]
    assert "version" not in tree["project"]
    source = folder / tree["tool"]["hatch"]["version"]["path"]
    assert source.resolve() == ROOT / "ktrans/__init__.py"


def test_the_version_of_the_native_code_is_that_of_the_core():
    """It is built by maturin, which does not read the version of another package."""
    cargo = tomllib.loads((NATIVE / "Cargo.toml").read_text())["package"]
    (locked,) = (
        package
        for package in tomllib.loads((NATIVE / "Cargo.lock").read_text())["package"]
        if package["name"] == NATIVE.name
    )
    given = [read_toml(NATIVE)["project"]["version"], cargo["version"], locked["version"]]
    assert given == [__version__] * 3


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_each_plugin_and_the_extra_that_installs_it_name_compatible_ranges(folder):
    project = read_toml(folder)["project"]
    assert project["name"] == folder.name
    assert_compatible(find_requirement(project["dependencies"], "ktrans"))
    core = read_toml(ROOT)
    extra = core["project"]["optional-dependencies"][folder.name.removeprefix("ktrans-")]
    assert_compatible(find_requirement(extra, folder.name))
    place = {"path": "plugins/ktrans-native"} if folder == NATIVE else {"workspace": True}
    assert core["tool"]["uv"]["sources"][folder.name] == place


def test_the_example_of_a_third_party_names_a_compatible_range():
    project = read_toml(ROOT / "examples/third-party-plugin")["project"]
    assert_compatible(find_requirement(project["dependencies"], "ktrans"))


def test_the_version_verb_shows_this_version_of_the_core_and_of_each_plugin():
    from ktrans.cli.root import cli

    result = CliRunner().invoke(cli, ["version", "--json"])
    versions = json.loads(result.output)
    assert versions["ktrans"] == __version__ == importlib.metadata.version("ktrans")
    ours = {folder.name for folder in PLUGINS} & set(versions["plugins"])
    assert ours
    for name in ours:
        assert versions["plugins"][name].split()[0] == __version__, "run `make` to install anew"


def test_the_examples_of_deployment_name_the_image_of_this_version():
    yaml = YAML(typ="safe")
    chart = yaml.load((ROOT / "examples/helm/ktrans/Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    for path in ROOT.glob("examples/kubernetes/*/kustomization.yaml"):
        for image in yaml.load(path.read_text()).get("images", ()):
            assert image["newTag"] == __version__, path


def test_the_changelog_begins_with_what_is_not_released():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    for heading in headings[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading), heading


def test_continuous_integration_runs_on_the_python_versions_that_are_claimed():
    prefix = "Programming Language :: Python :: 3."
    classifiers = read_toml(ROOT)["project"]["classifiers"]
    claimed = [text.rsplit(" ", 1)[1] for text in classifiers if text.startswith(prefix)]
    workflow = YAML(typ="safe").load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["unit"]["strategy"]["matrix"]["python"] == claimed


def test_the_lock_knows_every_distribution_and_names_public_hosts_only():
    text = (ROOT / "uv.lock").read_text()
    names = {read_toml(folder)["project"]["name"] for folder in DISTRIBUTIONS}
    assert set(tomllib.loads(text)["manifest"]["members"]) == names, "run `uv lock`"
    hosts = set(re.findall(r'"https?://([^/"]+)', text))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def build(folder, out, *targets):
    """Build with the hatchling of this environment, so that nothing is fetched."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    for target in targets:
        command += ["-t", target]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def read_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def test_wheel_and_sdist_of_the_core_build_and_hold_the_whole_package(tmp_path):
    build(ROOT, tmp_path, "sdist", "wheel")
    wheel = tmp_path / f"ktrans-{__version__}-py3-none-any.whl"
    assert f"\nVersion: {__version__}\n" in read_metadata(wheel)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"ktrans/py.typed", "ktrans/observe/page.html", "ktrans/cli/root.py"} <= names
    with tarfile.open(tmp_path / f"ktrans-{__version__}.tar.gz") as archive:
        names = archive.getnames()
    assert f"ktrans-{__version__}/CHANGELOG.md" in names
    assert not [name for name in names if ":" in name], "not every tool unpacks such a name"


def test_a_plugin_builds_also_from_its_sdist_where_the_core_is_not_beside_it(tmp_path):
    build(ROOT / "plugins/ktrans-sql", tmp_path, "sdist", "wheel")
    name = f"ktrans_sql-{__version__}"
    with tarfile.open(tmp_path / f"{name}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    build(tmp_path / name, tmp_path / "again", "wheel")
    wheel = f"{name}-py3-none-any.whl"
    again = read_metadata(tmp_path / "again" / wheel)
    assert f"\nVersion: {__version__}\n" in again
    assert again == read_metadata(tmp_path / wheel)
