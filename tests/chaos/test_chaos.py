"""Every scenario once, in its short form, with a seed that stays. `make chaos` plays them for hours."""

import argparse
from collections import Counter

import pytest

from tests.chaos import __main__ as runner
from tests.chaos.world import Broken, Skipped, equal

SEED = 1


@pytest.mark.slow
@pytest.mark.parametrize("name", runner.names())
def test_a_disturbed_pipeline_leaves_what_an_undisturbed_one_does(name, tmp_path):
    try:
        runner.play(name, SEED, tmp_path, short=True)
    except Skipped as reason:
        pytest.skip(str(reason))


def test_a_failure_says_how_to_play_it_again_and_keeps_its_folder(tmp_path, monkeypatch, capsys):
    def play(name, seed, folder, *, short):
        (folder / "evidence").touch()
        if seed == 8:
            raise Broken("rows are missing")

    monkeypatch.setattr(runner, "play", play)
    options = argparse.Namespace(
        minutes=1, seed=7, rounds=3, only=["kill_random"], short=True, folder=tmp_path
    )
    assert runner.campaign(options) == 1
    said = capsys.readouterr().out
    assert "FAILED kill_random: rows are missing" in said
    assert "--only kill_random --seed 8 --rounds 1 --short" in said
    assert [path.name for path in tmp_path.iterdir()] == ["kill_random-8"]
    assert (tmp_path / "kill_random-8" / "evidence").exists()


def test_rows_that_are_missing_or_too_many_are_named():
    with pytest.raises(Broken, match=r"1 missing, such as \['a'\]; 1 too many, such as \['b'\]"):
        equal(Counter("bbc"), Counter("abc"), "rows")
