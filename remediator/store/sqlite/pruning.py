"""Drops old rows that nothing needs any more."""

from __future__ import annotations

from datetime import timedelta

from remediator.core.retention import Pruned, Shelf
from remediator.store.common.codecs import micros
from remediator.store.common.pruning import PLANS, judge
from remediator.store.sqlite.transaction import Transaction


def prune(transaction: Transaction, shelf: Shelf, age: timedelta, after: int, limit: int) -> Pruned:
    plan, before = PLANS[shelf], micros(transaction.now - age)
    asked = {"before": before, "after": after, "limit": limit}
    found = transaction.sql.execute(plan.look, asked).fetchall()
    pruned, keys = judge(found, before, limit)
    for drop in plan.drops:
        transaction.sql.executemany(drop, [{"key": key} for key in keys])
    return pruned
