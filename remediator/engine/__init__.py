"""Intake, dispatch, execution, leases, recovery and the outbox: what drives a run from alert to proof."""
