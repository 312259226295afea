"""Deployments: undone, restarted, scaled and looked at, by one fenced JSON Patch at a time."""
