"""What `config print` shows, and above all what it does not."""

from __future__ import annotations

from ruamel.yaml import YAML

from ktrans.config.load import load_file, load_pipeline
from ktrans.config.show import as_yaml, shown_tree

TEXT = """\
source: {type: shop, paths: ["${env:P}", "${file:secret.txt}/x"], token: hunter2, region: "${vault:r}"}
sinks:
  - {type: box, path: "https://me:hunter2@host/${env:P}", format: {type: pack, level: "${env:N}"}}
"""


def shown(write, catalogue):
    path = write(TEXT)
    (path.parent / "secret.txt").write_text("hunter2\n")
    return shown_tree(load_file(path, catalogue, environ={"P": "logs", "N": "3"}))


def test_defaults_are_filled_in_and_secrets_are_not_shown(write, catalogue):
    tree = shown(write, catalogue)
    assert tree["source"] == {
        "type": "shop",
        "paths": ["logs", "${file:secret.txt}/x"],
        "depth": 3,
        "ratio": 0.5,
        "strict": False,
        "order": "name",
        "token": "**********",
        "region": "${vault:r}",
    }
    assert tree["sinks"] == [
        {
            "id": "box",
            "type": "box",
            "path": "https://me:**********@host/logs",
            "format": {"type": "pack", "level": 3},
        }
    ]
    assert tree["rejects"]["limit"]["ratio"] == 0.25
    assert tree["engine"]["attempts"] == 4
    assert "hunter2" not in str(tree)


def test_what_is_printed_is_yaml_that_loads_again(write, catalogue):
    text = as_yaml(shown(write, catalogue))
    assert text.startswith("version: 1\nname: demo\nsource:\n  type: shop\n")
    tree = YAML(typ="safe", pure=True).load(text)
    tree["source"]["paths"] = ["x"]
    tree["source"]["region"] = "x"
    again = load_pipeline(write(as_yaml(tree), "again.yaml"), catalogue, environ={})
    assert again.sinks[0].config.format.level == 3
