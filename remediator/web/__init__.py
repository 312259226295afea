"""The HTTP surface: webhook, API, health and metrics."""

from __future__ import annotations

from remediator.web.app import make_app
from remediator.web.ports import Alarms, Commands, DependencyHealth, Health, Limits, Probe, WebDeps

__all__ = [
    "Alarms",
    "Commands",
    "DependencyHealth",
    "Health",
    "Limits",
    "Probe",
    "WebDeps",
    "make_app",
]
