"""What the daemon tells about itself: logs as key and value, and the metrics at ``/metrics``."""

from __future__ import annotations

from remediator.telemetry.logs import LogFormat, Redaction, configure_logging
from remediator.telemetry.metrics import Metrics, WebhookResult

__all__ = ["LogFormat", "Metrics", "Redaction", "WebhookResult", "configure_logging"]
