"""The pytest plugin that comes with ktrans: failures inside the contracts say what was compared."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("ktrans.testing.contracts")
