"""The way out: the SDK's provider and OTLP exporter, and a limit on what a run waits for them.

Both read the standard OTEL_* variables themselves. The SDK's own words about a collector that does
not answer come with every batch; here it is said once, as the event `traces_not_sent`.
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
"""What the end of a run waits for the collector, unless OTEL_BSP_EXPORT_TIMEOUT says otherwise."""

_log = logging.getLogger("ktrans.otel")


def make_provider(run: Mapping[str, Any]) -> tuple[TracerProvider, Callable[[], None]]:
    """Make the process's provider of spans, and what sends those that wait."""
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
    exporter = TellingExporter(OTLPSpanExporter())
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, lambda: flush(provider, exporter)


class TellingExporter(SpanExporter):  # type: ignore[misc]  # the SDK's types are not followed
    """Passes spans on, and says once when they are not taken, until they are again."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._failing = False
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; any failure is a result."""
        try:
            result = self._inner.export(spans)
        except Exception:  # noqa: BLE001 - whatever the exporter does
            result = SpanExportResult.FAILURE
        self.told(failed=result is not SpanExportResult.SUCCESS)
        return result

    def told(self, *, failed: bool) -> None:
        """Take note of how it went."""
        with self._lock:
            news = failed and not self._failing
            self._failing = failed
        if news:
            _warn("the OpenTelemetry collector does not take the traces; the run goes on")

    def shutdown(self) -> None:
        """Let go of the connection."""
        self._inner.shutdown()


def flush(provider: TracerProvider, exporter: TellingExporter) -> None:
    """Send what waits, within a moment: the SDK's own flush knows no limit."""
    thread = threading.Thread(target=provider.force_flush, name="otel-flush", daemon=True)
    thread.start()
    thread.join(_patience(os.environ.get("OTEL_BSP_EXPORT_TIMEOUT", "")))
    if thread.is_alive():
        exporter.told(failed=True)


def _patience(milliseconds: str) -> float:
    return int(milliseconds) / 1000 if milliseconds.strip().isdecimal() else FLUSH_SECS


def _warn(text: str) -> None:
    _log.warning("%s", text, extra={"event": log_events.TRACES_NOT_SENT})
