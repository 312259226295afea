"""How a simulation is shown: to people, and as one JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from remediator.core.decide import DecisionKind
from remediator.core.reasons import Reason
from remediator.notify.text import flat
from remediator.rehearse.simulation import Choice, Choices, Difference, Simulated, Simulation

_ASSUMPTIONS = (
    "each step takes half a minute and works, and the proof holds from then on",
    "whoever is asked for approval gives it at once",
    "no object bears a label that protects it, and no service has too few ready replicas",
    "nobody paused anything, and nothing ran before the first alert",
)
#: Reasons by which a limit or another standing guard says no.
_LIMITS = frozenset(
    {
        Reason.COOLDOWN,
        Reason.RATE,
        Reason.TARGETS,
        Reason.PER_TARGET,
        Reason.PARALLEL,
        Reason.BRAKE,
        Reason.FROZEN,
        Reason.SCOPE,
        Reason.PROTECTED,
        Reason.QUARANTINED,
    }
)
_COLOURS = {DecisionKind.RUN: "green", DecisionKind.JOIN: "cyan", DecisionKind.DEFER: "yellow"}
_NO_RULE = "(no rule)"
_UNDETERMINED = "undetermined"


def show(out: Console, it: Simulation, rules: str, limit: int) -> None:
    """Sums first, then what would be run, what limits would stop, and what nobody can know."""
    out.print(Text(_head(it, rules), style="bold"))
    _tell_assumptions(out, it)
    out.print()
    out.print(_table(it))
    known = [(each, choice) for each in it.episodes if not each.undetermined for choice in each.choices]
    runs = [pair for pair in known if pair[1].kind is DecisionKind.RUN]
    _list(out, "what would be run", [_run_lines(*pair) for pair in runs], limit)
    bitten = [pair for pair in known if pair[1].reason in _LIMITS]
    _list(out, "limits that would have bitten", [_bitten_lines(*pair) for pair in bitten], limit)
    unsure = [each for each in it.episodes if each.undetermined]
    _list(
        out,
        "undetermined: it depends on what was not stored",
        [_unsure_lines(each) for each in unsure],
        limit,
    )


def show_differences(
    out: Console,
    before: Simulation,
    after: Simulation,
    found: Sequence[Difference],
    names: tuple[str, str],
    limit: int,
) -> None:
    """What the one would do otherwise than the other: sums first, then each episode."""
    out.print(Text(f"- {_head(before, names[0])}", style="red"))
    out.print(Text(f"+ {_head(after, names[1])}", style="green"))
    _tell_assumptions(out, after)
    same = len(after.episodes) - len(found)
    out.print()
    if not found:
        out.print(
            Text(f"nothing would be decided otherwise: {_count(same, 'episode')} the same", style="bold")
        )
        return
    unsure = sum(each.undetermined for each in found)
    may = f", {unsure} of them may be: it depends on what was not stored" if unsure else ""
    out.print(
        Text(
            f"{_count(len(found), 'episode')} would be decided otherwise{may}; {same} the same", style="bold"
        )
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("episodes", justify="right")
    table.add_column("before")
    table.add_column("after")
    for (was, becomes), count in Counter(_change(each) for each in found).most_common():
        table.add_row(str(count), Text(was, "red"), Text(becomes, "green"))
    out.print(table)
    _list(out, "episode by episode", [_difference_lines(each) for each in found], limit)


def document(it: Simulation) -> dict[str, Any]:
    """A simulation as JSON."""
    return {
        "rulebook": it.rulebook.hash,
        "webhooks": it.posts,
        "left_out": it.left_out,
        "assumptions": _assumptions(it),
        "counts": _counts(it),
        "episodes": [_episode(each) for each in it.episodes],
    }


def difference_document(before: Simulation, after: Simulation, found: Sequence[Difference]) -> dict[str, Any]:
    """What differs between two simulations, as JSON."""
    return {
        "before": {"rulebook": before.rulebook.hash, "counts": _counts(before)},
        "after": {"rulebook": after.rulebook.hash, "counts": _counts(after)},
        "webhooks": after.posts,
        "left_out": after.left_out,
        "assumptions": _assumptions(after),
        "same": len(after.episodes) - len(found),
        "differences": [
            {
                **_alert(each.after),
                "undetermined": each.undetermined,
                "before": _decided(each.before),
                "after": _decided(each.after),
            }
            for each in found
        ],
    }


def _head(it: Simulation, rules: str) -> str:
    first, last = (it.episodes[0], it.episodes[-1]) if it.episodes else (None, None)
    span = (
        f", {_clock(first.episode.first_seen)} to {_clock(last.episode.first_seen)}" if first and last else ""
    )
    book = f"{_count(len(it.rulebook.rules), 'rule')}, {it.rulebook.hash[:12]}"
    return f"{rules} ({book}) on {_count(len(it.episodes), 'episode')} of {_count(it.posts, 'webhook')}{span}"


def _tell_assumptions(out: Console, it: Simulation) -> None:
    out.print(Text("Nothing was touched. It is assumed that", style="dim"))
    for each in _assumptions(it):
        out.print(Text(f"  {each}", style="dim"))
    out.print(Text("What comes of a simulated run before it is marked with *.", style="dim"))
    if it.left_out:
        missing = f"{_count(it.left_out, 'alert')} that Alertmanager left out of its webhooks are not known."
        out.print(Text(missing, style="yellow"))


def _assumptions(it: Simulation) -> list[str]:
    said = [f"{check} says {said.value} where that is not known" for check, said in it.assumed.items()]
    return [*_ASSUMPTIONS, *said, *(["every rule is live"] if it.live else [])]


def _table(it: Simulation) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("episodes", justify="right")
    table.add_column("decision")
    table.add_column("rule")
    sums: Counter[tuple[str, str]] = Counter()
    for each in it.episodes:
        if each.undetermined:
            sums[_UNDETERMINED, ", ".join(dict.fromkeys(one.rule for one in each.unknown))] += 1
        else:
            sums.update((_verdict(choice), choice.rule or _NO_RULE) for choice in each.choices)
    for (verdict, rule), count in sums.most_common():
        table.add_row(str(count), Text(verdict, _style(verdict)), Text(rule))
    return table


def _style(verdict: str) -> str:
    if verdict == _UNDETERMINED:
        return "magenta"
    return _COLOURS.get(DecisionKind(verdict.split(maxsplit=1)[0]), "")


def _verdict(choice: Choice) -> str:
    if choice.kind is DecisionKind.RUN:
        return f"run ({choice.mode.word})"
    return f"{choice.kind.value} {choice.reason.value}{'*' if choice.assumes else ''}"


def _list(out: Console, title: str, entries: Sequence[Sequence[Text]], limit: int) -> None:
    if not entries:
        return
    out.print(Text(f"\n{title}", style="bold"))
    shown = entries[: limit or None]
    for lines in shown:
        for line in lines:
            out.print(line, soft_wrap=True)
    if len(shown) < len(entries):
        out.print(Text(f"  and {len(entries) - len(shown)} more: --limit 0 lists all", style="dim"))


def _run_lines(each: Simulated, choice: Choice) -> list[Text]:
    star = "*" if choice.assumes else ""
    head = Text(f"  {_clock(choice.at)}  ").append(f"{choice.rule} on {choice.target}", "green")
    head.append(f" ({choice.mode.word}){star} for {_name(each)}")
    return [head, *(Text(f"      {line}") for line in _steps(choice))]


def _bitten_lines(each: Simulated, choice: Choice) -> list[Text]:
    head = Text(f"  {_clock(choice.at)}  ").append(_verdict(choice), "yellow")
    head.append(f" {choice.rule} on {choice.target}: {_why(choice)}, for {_name(each)}")
    return [head]


def _unsure_lines(each: Simulated) -> list[Text]:
    lines = [Text(f"  {_clock(each.episode.first_seen)}  {_name(each)}")]
    lines += [Text(f"      not known: {unknown.line}", "magenta") for unknown in each.unknown]
    if not each.unknown:
        lines.append(Text("      it depends on what became of episodes before it", "magenta"))
    lines.append(Text(f"      if it is as the rules ask: {_all(each.choices)}"))
    lines.append(Text(f"      if it is not: {_all(each.otherwise)}"))
    return lines


def _difference_lines(each: Difference) -> list[Text]:
    may = Text(" (undetermined)", "magenta") if each.undetermined else Text("")
    lines = [Text(f"  {_clock(each.after.episode.first_seen)}  {_name(each.after)}").append_text(may)]
    for sign, colour, it in (("-", "red", each.before), ("+", "green", each.after)):
        lines += [Text(f"    {sign} {line}", colour) for line in _outcome_lines(it)]
    return lines


def _outcome_lines(it: Simulated) -> list[str]:
    if not it.undetermined:
        return [
            line for choice in it.choices for line in (_one(choice), *map("    {}".format, _steps(choice)))
        ]
    unknown = "; ".join(each.line for each in it.unknown) or "what became of episodes before it"
    return [f"undetermined by {unknown}: {_all(it.choices)}, or else {_all(it.otherwise)}"]


def _change(each: Difference) -> tuple[str, str]:
    before, after = _short(each.before), _short(each.after)
    if before == after:
        return before, f"{after}, in another way"
    return before, after


def _short(it: Simulated) -> str:
    if it.undetermined:
        return _UNDETERMINED
    return ", ".join(f"{_verdict(each)} {each.rule or _NO_RULE}" for each in it.choices) or "nothing"


def _all(choices: Choices) -> str:
    return "; ".join(map(_one, choices)) or "nothing"


def _one(choice: Choice) -> str:
    which = f"{choice.rule or _NO_RULE}{f' on {choice.target}' if choice.target else ''}"
    why = "" if choice.kind is DecisionKind.RUN else f": {_why(choice)}"
    return f"{_verdict(choice)} {which}{why}"


def _why(choice: Choice) -> str:
    return choice.detail or choice.reason.meaning


def _steps(choice: Choice) -> list[str]:
    return [f"{step.action}{_given(step.params)}" for step in choice.steps]


def _given(params: Any) -> str:
    return "".join(f" {name}={value}" for name, value in params.items())


def _name(each: Simulated) -> str:
    episode = each.episode
    labels = (f"{name}={value}" for name, value in episode.labels.items() if name != "alertname")
    return flat(" ".join([episode.alertname or "an alert without a name", *labels]))


def _counts(it: Simulation) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "reason": reason or None, "count": count}
        for (kind, reason), count in it.counts.most_common()
    ]


def _episode(each: Simulated) -> dict[str, Any]:
    return {**_alert(each), **_decided(each)}


def _alert(each: Simulated) -> dict[str, Any]:
    episode = each.episode
    return {
        "source": episode.source,
        "fingerprint": episode.fingerprint,
        "labels": dict(episode.labels),
        "first_seen": episode.first_seen.isoformat(),
    }


def _decided(each: Simulated) -> dict[str, Any]:
    return {
        "undetermined": each.undetermined,
        "unknown": [
            {"rule": one.rule, "check": one.check, "with": one.params, "target": one.target}
            for one in each.unknown
        ],
        "decisions": _choices(each.choices),
        "otherwise": _choices(each.otherwise) if each.undetermined else None,
    }


def _choices(choices: Iterable[Choice]) -> list[dict[str, Any]]:
    return [
        {
            "rule": each.rule,
            "kind": each.kind.value,
            "reason": each.reason.value,
            "meaning": each.reason.meaning,
            "detail": each.detail,
            "target": each.target,
            "mode": each.mode.word if each.kind is DecisionKind.RUN else None,
            "at": each.at.isoformat(),
            "assumes_runs": each.assumes,
            "guards": [
                {"guard": one.guard.value, "answer": one.answer.value, "detail": one.detail}
                for one in each.guards
            ],
            "steps": [{"action": step.action, "with": dict(step.params)} for step in each.steps],
        }
        for each in choices
    ]


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
