"""The pictures of the README show what ktrans prints today."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs/site/pictures.py")
pictures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pictures)


def without_sizes(svg):
    """Blank sizes, which depend on the release of pyarrow and on the length of paths, and positions."""
    words = "".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg)).replace("&#160;", " ")
    assert "sums" in words
    return re.sub(r"\d[\d.]* ?kB", "SIZE", words)


@pytest.mark.slow
def test_the_receipt_says_what_a_run_prints(tmp_path):
    drawn = pictures.receipt_svg(pictures.example(tmp_path))
    shown = (pictures.PICTURES / "receipt.svg").read_text("utf-8")
    assert without_sizes(drawn) == without_sizes(shown), "run `make pictures`"


def test_the_readme_shows_small_pictures_that_load_nothing():
    readme = (ROOT / "README.md").read_text("utf-8")
    for picture in pictures.PICTURES.iterdir():
        assert f"docs/pictures/{picture.name})" in readme
        assert picture.stat().st_size < 200_000
    svg = (pictures.PICTURES / "receipt.svg").read_text("utf-8")
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
