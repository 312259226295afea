"""Drops old rows that nothing needs any more."""

from __future__ import annotations

from datetime import timedelta

from remediator.core.retention import Pruned, Shelf
from remediator.store.common.codecs import micros
from remediator.store.common.pruning import PLANS, judge
from remediator.store.postgres.named import placed
from remediator.store.postgres.transaction import Transaction


async def prune(transaction: Transaction, shelf: Shelf, age: timedelta, after: int, limit: int) -> Pruned:
    plan, before = PLANS[shelf], micros(transaction.now - age)
    look, values = placed(plan.look, {"before": before, "after": after, "limit": limit})
    pruned, keys = judge(await transaction.rows(look, *values), before, limit)
    for drop in plan.drops:
        statement, _ = placed(drop, {"key": None})
        await transaction.run_for_each(statement, [(key,) for key in keys])
    return pruned
