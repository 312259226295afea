"""The laws (DESIGN's numbers), each as a function that says what is wrong, or nothing.

They are written from the laws and know nothing of the engine's code: they read the ledger's rows and what the
cluster, the checks and the receivers of notices themselves have witnessed.
"""

from __future__ import annotations

from tests.simulation.laws import acting, guards, retention
from tests.simulation.laws.ends import everything_ends
from tests.simulation.laws.intake import law_1_what_was_answered_is_kept
from tests.simulation.laws.registry import AFTER_COMMIT, AFTER_WRITE, AT_END, AT_WORK

__all__ = [
    "AFTER_COMMIT",
    "AFTER_WRITE",
    "AT_END",
    "AT_WORK",
    "acting",
    "everything_ends",
    "guards",
    "law_1_what_was_answered_is_kept",
    "retention",
]
