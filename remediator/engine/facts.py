"""Gathers facts: asks checks, with a deadline, and turns everything that goes wrong into an error answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta

import structlog

from remediator.core.checks import CheckAnswer, CheckContext, Concerned, Fact, Said
from remediator.core.episodes import Episode
from remediator.core.ids import RunId
from remediator.core.ports.actions import Check, ParameterError
from remediator.core.ports.store import Store, StoreError
from remediator.core.rules import Condition
from remediator.core.targets import Target
from remediator.core.templates import TemplateError, template

_log = structlog.get_logger(__name__)
#: One look may take this long; what does not answer by then is in error.
LOOK_TIMEOUT = timedelta(seconds=10)
#: A fact in error is asked again for this long before the episode is stopped by it.
GATHER_TIMEOUT = timedelta(seconds=10)
_BETWEEN_TRIES = 1.0
#: Episodes that are looked at together.
_PAGE = 500


class Facts:
    """Asks the checks that rules name."""

    def __init__(self, store: Store, checks: Mapping[str, Check]) -> None:
        self._store = store
        self._checks = checks

    async def gather(
        self,
        conditions: Sequence[Condition],
        target: Target,
        episodes: Concerned,
        values: Mapping[str, object],
    ) -> tuple[Fact, ...]:
        """Ask in order, stopping at the first that does not hold: nothing after it can matter."""
        facts: list[Fact] = []
        enough_at = asyncio.get_running_loop().time() + GATHER_TIMEOUT.total_seconds()
        for condition in conditions:
            fact = await self._insist(condition, target, episodes, values, enough_at)
            facts.append(fact)
            if not fact.holds:
                break
        return tuple(facts)

    async def look_at_all(
        self,
        conditions: Sequence[Condition],
        target: Target,
        episodes: Concerned,
        values: Mapping[str, object],
    ) -> tuple[Fact, ...]:
        """Ask all of them at once, once each."""
        looks = (self.look(condition, target, episodes, values) for condition in conditions)
        return tuple(await asyncio.gather(*looks))

    async def _insist(
        self,
        condition: Condition,
        target: Target,
        episodes: Concerned,
        values: Mapping[str, object],
        enough_at: float,
    ) -> Fact:
        """Ask an erring check again, until it answers or the time for facts is over."""
        while True:
            fact = await self.look(condition, target, episodes, values)
            later = asyncio.get_running_loop().time() + _BETWEEN_TRIES
            if fact.answer.said is not Said.ERROR or later >= enough_at:
                return fact
            await asyncio.sleep(_BETWEEN_TRIES)

    async def look(
        self,
        condition: Condition,
        target: Target,
        episodes: Concerned,
        values: Mapping[str, object],
    ) -> Fact:
        """Ask one check once.

        Raises:
            StoreError: the ledger could not say when it is, or which episodes are concerned.
        """
        now = await self._store.now()
        params: Mapping[str, object] = condition.params
        try:
            params = render(condition.params, values)
            check = self._checks[condition.check]
            context = CheckContext(target, check.spec.parse(params, False), episodes, now)
            async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
                answer = await check.look(context)
        except (TemplateError, ParameterError) as error:
            answer = CheckAnswer(Said.ERROR, f"parameters: {error}")
        except KeyError:
            answer = CheckAnswer(Said.ERROR, f"this daemon has no check {condition.check}")
        except TimeoutError:
            answer = CheckAnswer(Said.ERROR, f"no answer within {LOOK_TIMEOUT.total_seconds():.0f} s")
        except StoreError:
            # Which episodes are concerned is the ledger's to say: without it nothing goes on at all.
            raise
        except Exception as error:  # noqa: BLE001 - a check's bug is an error answer, not the engine's end
            _log.exception("check failed", check=condition.check, target=str(target))
            answer = CheckAnswer(Said.ERROR, f"{type(error).__name__} in {condition.check}")
        return Fact(condition.check, params, condition.expect, answer, now)


def of_run(store: Store, run: RunId) -> Concerned:
    """The episodes of a run as they are when a check asks, which thousands may have joined by then."""

    async def pages() -> AsyncIterator[Sequence[Episode]]:
        after = 0
        while page := await store.episodes_of(run, after, _PAGE):
            yield page
            after = page[-1].id

    return pages


def render(params: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    """Fill the templates in parameters, at any depth.

    Raises:
        TemplateError: a template names something undefined.
    """
    return {name: _render(value, values) for name, value in params.items()}


def _render(value: object, values: Mapping[str, object]) -> object:
    if isinstance(value, str):
        return template(value).render(values)
    if isinstance(value, Mapping):
        return {str(name): _render(inner, values) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_render(inner, values) for inner in value]
    return value
