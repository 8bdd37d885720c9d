"""Creates the SDK's provider and OTLP exporter, and limits how long a run waits for them.

Both read the standard OTEL_* variables. The SDK logs an error of the collector with every batch; here
it is logged once, as the event `traces_not_sent`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ktrans_otel import log_events

FLUSH_SECS = 3.0
"""How long the end of a run waits for the collector, unless OTEL_BSP_EXPORT_TIMEOUT is set."""

_log = logging.getLogger("ktrans.otel")


def make_provider(run: Mapping[str, Any]) -> tuple[TracerProvider, Callable[[], None]]:
    """Return the provider of spans for the process, and a function that sends waiting spans."""
    logger = logging.getLogger("opentelemetry")
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        logger.setLevel(logging.CRITICAL)
    named = "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {"service.version": str(run["version"])}
    if not (named or os.environ.get("OTEL_SERVICE_NAME")):
        own["service.name"] = "ktrans"
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
    )
    if protocol != "http/protobuf":
        _warn(f"OTLP over {protocol} is not supported; traces are sent as http/protobuf")
    exporter = WarningExporter(OTLPSpanExporter())
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, lambda: flush(provider, exporter)


class WarningExporter(SpanExporter):  # type: ignore[misc]  # the SDK's types are not followed
    """Passes spans on, and logs a warning at the first failure after a success."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._failing = False
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; return failures instead of raising them."""
        try:
            result = self._inner.export(spans)
        except Exception:  # noqa: BLE001 - whatever the exporter does
            result = SpanExportResult.FAILURE
        self.record(failed=result is not SpanExportResult.SUCCESS)
        return result

    def record(self, *, failed: bool) -> None:
        """Record a result, and log a warning if failures begin."""
        with self._lock:
            warn = failed and not self._failing
            self._failing = failed
        if warn:
            _warn("the OpenTelemetry collector does not accept the traces; the run continues")

    def shutdown(self) -> None:
        """Close the connection."""
        self._inner.shutdown()


def flush(provider: TracerProvider, exporter: WarningExporter) -> None:
    """Send the waiting spans, for a limited time: the SDK's own flush has no limit."""
    thread = threading.Thread(target=provider.force_flush, name="otel-flush", daemon=True)
    thread.start()
    thread.join(_flush_secs(os.environ.get("OTEL_BSP_EXPORT_TIMEOUT", "")))
    if thread.is_alive():
        exporter.record(failed=True)


def _flush_secs(milliseconds: str) -> float:
    return int(milliseconds) / 1000 if milliseconds.strip().isdecimal() else FLUSH_SECS


def _warn(text: str) -> None:
    _log.warning("%s", text, extra={"event": log_events.TRACES_NOT_SENT})
