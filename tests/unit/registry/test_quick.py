"""The verbs of other plugins, found without importlib.metadata."""

from __future__ import annotations

import click
import pytest

from ktrans.registry.quick import add_verbs, other_modules

VERBS = (
    "import click\nfrom ktrans.api import hookimpl\n\n"
    "@hookimpl\ndef ktrans_add_commands(cli):\n    cli.add_command(click.Command('greet'))\n"
)


def dist(folder, name, entry_points):
    info = folder / name
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(entry_points)


def test_our_own_distribution_is_not_another(tmp_path):
    dist(tmp_path, "ktrans-0.1.0.dist-info", "[ktrans]\nbuiltin = ktrans.registry.builtin\n")
    dist(tmp_path, "other-1.dist-info", "[console_scripts]\nktrans = x:y\n")
    assert other_modules([str(tmp_path), str(tmp_path / "missing")]) == []


@pytest.mark.parametrize("name", ["ktrans_acme-1.0.dist-info", "ktrans-acme-1.0.egg-info"])
def test_plugins_are_seen_wherever_they_are_on_the_path(tmp_path, name):
    text = "[x]\na = b\n\n[ktrans]\nacme = acme.plugin\n# note\ntwo=acme2\n\n[y]\nc = d\n"
    dist(tmp_path / "b", name, text)
    assert other_modules([str(tmp_path), str(tmp_path / "b")]) == ["acme.plugin", "acme2"]


def test_what_cannot_be_looked_into_is_left_to_others(tmp_path):
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(b"PK")
    assert other_modules([str(bundle)]) is None


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
def test_plugins_add_verbs_and_broken_ones_are_left_out(
    install, monkeypatch, tmp_path, code, verbs
):
    install("ktrans-acme", code)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    found = click.Group()
    assert add_verbs(found)
    assert list(found.commands) == verbs


def test_nothing_is_imported_if_the_environment_chooses(install, monkeypatch, tmp_path):
    install("ktrans-acme", "raise AssertionError('imported')")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setenv("KTRANS_PLUGINS", "")
    assert not add_verbs(click.Group())
