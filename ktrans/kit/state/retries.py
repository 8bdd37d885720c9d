"""How often requests to a bucket that holds state are repeated."""

from __future__ import annotations

from ktrans.kit.retry import Retry

OPENING = Retry(attempts=5, max_asked_secs=10)
"""Before a run has begun."""

RUNNING = Retry(attempts=10, max_asked_secs=10)
"""During a run, whose epoch would be lost: for most of a minute."""
