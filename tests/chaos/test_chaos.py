"""Every scenario once, in its short form, with a seed that stays. `make chaos` plays them for hours."""

import pytest

from tests.chaos.__main__ import names, play
from tests.chaos.world import Skipped

pytestmark = pytest.mark.slow

SEED = 1


@pytest.mark.parametrize("name", names())
def test_a_disturbed_pipeline_leaves_what_an_undisturbed_one_does(name, tmp_path):
    try:
        play(name, SEED, tmp_path, short=True)
    except Skipped as reason:
        pytest.skip(str(reason))
