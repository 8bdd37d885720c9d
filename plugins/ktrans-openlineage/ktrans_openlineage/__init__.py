"""OpenLineage events of runs. Does and imports nothing unless the settings enable it.

The client's standard settings configure the receiver: OPENLINEAGE_URL, OPENLINEAGE__TRANSPORT__...,
OPENLINEAGE_CONFIG, an `openlineage.yml` in the working folder or in ~/.openlineage.
OPENLINEAGE_DISABLED=true turns it off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktrans.api import hookimpl

if TYPE_CHECKING:
    from ktrans_openlineage.lineage import Lineage

_lineage: Lineage | None = None


def configured(environ: Mapping[str, str]) -> bool:
    """Return whether the settings configure a receiver of events."""
    if environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OPENLINEAGE_URL") or environ.get("OPENLINEAGE_CONFIG"):
        return True
    if any(name.startswith("OPENLINEAGE__TRANSPORT") for name in environ):
        return True
    usual = [Path("openlineage.yml")]
    if home := environ.get("HOME"):
        usual.append(Path(home, ".openlineage/openlineage.yml"))
    return any(path.is_file() for path in usual)


@hookimpl
def ktrans_run_started(run: dict[str, Any]) -> None:
    """Send START, if lineage is enabled."""
    global _lineage  # noqa: PLW0603 - one sender for all runs of the process
    if run["dry_run"]:
        return
    if _lineage is None:
        if not configured(os.environ):
            return
        from ktrans_openlineage.lineage import FLUSH_NAME, Lineage, Sender

        _lineage = Lineage(Sender(os.environ.get(FLUSH_NAME, "")), os.environ)
    _lineage.run_started(run)


@hookimpl
def ktrans_epoch_committed(run: dict[str, Any], epoch: dict[str, Any]) -> None:
    """Send RUNNING from time to time, with the totals so far."""
    if _lineage is not None:
        _lineage.epoch_committed(run, epoch)


@hookimpl
def ktrans_run_finished(run: dict[str, Any], receipt: dict[str, Any]) -> None:
    """Send COMPLETE, ABORT or FAIL, and wait briefly for the sender."""
    if _lineage is not None:
        _lineage.run_finished(run, receipt)


@hookimpl
def ktrans_log_events() -> list[str]:
    """Return the module that declares the log events of this plugin."""
    return ["ktrans_openlineage.log_events"]
