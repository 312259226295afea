"""`python -m tests.simulation`: plays many seeds on all cores, or one with its whole schedule.

Prints how fast, what happened how often, and of the first seed that broke a law its schedule and the command
that plays it again. Exits with 1 if a law was broken, or if something that must happen never did.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.simulation.bugs import BUGS, play
from tests.simulation.diary import MUST_HAPPEN
from tests.simulation.simulation import Result

_PROGRESS_EVERY = 10.0
#: Seeds that are sent to a process at a time.
_CHUNK = 4
#: Fewer seeds than this need not meet with everything.
_ENOUGH = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="play this one alone and print its schedule")
    parser.add_argument("--bug", choices=sorted(BUGS), help="with this bug planted")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--junit", type=Path, help="write a JUnit report here")
    given = parser.parse_args(argv)
    if given.seed is not None:
        return _replay(given.seed, given.bug)
    return _play_all(range(given.first, given.first + given.seeds), given.jobs, given.junit, given.bug)


def _replay(seed: int, bug: str | None) -> int:
    result = play(seed, bug, schedule=True)
    print("\n".join(result.schedule))
    return _tell_broken(result, bug) if result.broken else 0


def _play_all(seeds: range, jobs: int, junit: Path | None, bug: str | None) -> int:
    began = told = time.monotonic()
    counts: Counter[str] = Counter()
    results: list[Result] = []
    for result in _results(seeds, jobs, bug):
        results.append(result)
        counts += result.counts
        if result.broken is not None:
            break
        if time.monotonic() - told > _PROGRESS_EVERY:
            told = time.monotonic()
            print(f"{len(results)} of {len(seeds)} seeds, {len(results) / (told - began):.1f}/s", flush=True)
    took = time.monotonic() - began
    if junit is not None:
        junit.write_text(_junit(results, took))
    print(f"{len(results)} seeds in {took:.0f} s: {len(results) / took:.1f} seeds/s on {jobs} cores")
    return _verdict(results, counts, bug)


def _results(seeds: range, jobs: int, bug: str | None) -> Iterator[Result]:
    """Each seed's result, in their order."""
    if jobs == 1:
        yield from (play(seed, bug) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            yield from pool.map(play, seeds, repeat(bug), chunksize=_CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)


def _verdict(results: list[Result], counts: Counter[str], bug: str | None) -> int:
    last = results[-1]
    if last.broken is not None:
        print("\n".join(last.schedule))
        return _tell_broken(last, bug)
    width = max(map(len, MUST_HAPPEN))
    for what in MUST_HAPPEN:
        print(f"  {what:<{width}} {counts[what]:>9}{'' if counts[what] else '  <- never happened'}")
    if len(results) >= _ENOUGH and not all(counts[what] for what in MUST_HAPPEN):
        return 1
    return 0


def _tell_broken(result: Result, bug: str | None) -> int:
    assert result.broken is not None
    print(f"\nseed {result.seed} broke {result.broken.law}: {result.broken.what}")
    with_bug = f" --bug {bug}" if bug else ""
    print(f"to see it again: {sys.executable} -m tests.simulation --seed {result.seed}{with_bug}")
    return 1


def _junit(results: list[Result], took: float) -> str:
    """Each seed as a test of `tests.simulation`."""
    each = took / len(results) if results else 0.0
    cases = "\n".join(_case(result, each) for result in results)
    suite = f'<testsuite name="simulation">\n{cases}\n</testsuite>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites>{suite}</testsuites>\n'


def _case(result: Result, seconds: float) -> str:
    head = f'<testcase classname="tests.simulation.seeds" name="seed {result.seed}" time="{seconds:.3f}"'
    if result.broken is None:
        return f"{head}/>"
    why = quoteattr(f"{result.broken.law}: {result.broken.what}"[:1000])
    return f"{head}><failure message={why}/></testcase>"


if __name__ == "__main__":
    sys.exit(main())
