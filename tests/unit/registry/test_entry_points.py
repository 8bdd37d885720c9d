"""Entry points, read from the metadata folders of the path."""

import click
import pytest

from ktrans.registry.catalogue import Catalogue
from ktrans.registry.entry_points import PluginPoint, installed_points

VERBS = (
    "import click\nfrom ktrans.api import hookimpl\n\n"
    "@hookimpl\ndef ktrans_add_commands(cli):\n    cli.add_command(click.Command('greet'))\n"
)


def dist(folder, name, entry_points, metadata=""):
    info = folder / name
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(entry_points)
    (info / "METADATA").write_text(metadata)


def test_other_groups_and_folders_that_are_not_there_are_skipped(tmp_path):
    dist(tmp_path, "other-1.dist-info", "[console_scripts]\nktrans = x:y\n")
    assert installed_points([str(tmp_path), str(tmp_path / "missing")]) == []


@pytest.mark.parametrize("name", ["ktrans_acme-1.0.dist-info", "ktrans_acme-1.0.egg-info"])
def test_plugins_are_found_wherever_they_are_on_the_path(tmp_path, name):
    text = "[x]\na = b\n\n[ktrans]\nacme = acme.plugin\n# note\ntwo=acme2:plugin\n\n[y]\nc = d\n"
    dist(tmp_path / "b", name, text, "Metadata-Version: 2.1\nName: Ktrans_Acme\nVersion: 1.0\n")
    assert installed_points([str(tmp_path), str(tmp_path / "b")]) == [
        PluginPoint("acme", "acme.plugin", "ktrans-acme", "1.0"),
        PluginPoint("two", "acme2:plugin", "ktrans-acme", "1.0"),
    ]


def test_of_two_installations_the_first_on_the_path_counts(tmp_path):
    for folder, version in (("a", "2.0"), ("b", "1.0")):
        metadata = f"Name: acme\nVersion: {version}\n"
        dist(tmp_path / folder, f"acme-{version}.dist-info", "[ktrans]\nacme = acme\n", metadata)
    found = installed_points([str(tmp_path / "a"), str(tmp_path / "b")])
    assert [point.version for point in found] == ["2.0"]


def test_with_a_zip_file_on_the_path_the_standard_library_is_asked(tmp_path):
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(b"PK")
    assert "ktrans" in {point.distribution for point in installed_points([str(bundle)])}


def test_both_ways_find_the_same(tmp_path):
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(b"PK")
    assert installed_points() == installed_points([str(bundle)])


@pytest.mark.parametrize(
    ("code", "verbs"),
    [
        (VERBS, ["greet"]),
        ("", []),
        (VERBS.replace("@hookimpl", ""), []),
        ("raise SystemExit(1)", []),
        (VERBS.replace("cli.add_command", "cli.no_such"), []),
    ],
)
def test_plugins_add_verbs_and_broken_ones_are_left_out(install, tmp_path, code, verbs):
    install("ktrans-acme", code)
    points = installed_points([str(tmp_path)])
    found = click.Group()
    Catalogue(environ={}, entry_points=points).tell("ktrans_add_commands", cli=found)
    assert list(found.commands) == verbs
