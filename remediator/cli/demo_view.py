"""What the demo prints: readable from across the desk, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from remediator.core.durations import format_duration
from remediator.core.events import Event, EventKind
from remediator.core.reasons import Reason
from remediator.core.runs import Run, RunState
from remediator.sandbox.kubernetes import StandIn
from remediator.sandbox.pagerduty import PagerDutyReceiver
from remediator.sandbox.scenario import NAMESPACE, NEIGHBOUR, SERVICE
from remediator.sandbox.slack import SlackReceiver
from remediator.sandbox.terminal import render_message

_STYLES: dict[str, str] = {
    "webhook": "cyan",
    "episode": "cyan",
    "decision": "magenta",
    "guards": "magenta",
    "attempt": "yellow",
    "run": "blue",
}
_ENDS = {
    EventKind.RUN_SUCCEEDED: "bold green",
    EventKind.RUN_FAILED: "bold red",
    EventKind.RUN_UNKNOWN: "bold red",
}
_LONGEST_KIND = max(len(kind.value) for kind in EventKind)
_ROLLED_OUT = "deployment.kubernetes.io/revision"


class DemoView:
    """Prints the demo."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = datetime.max.replace(tzinfo=UTC)

    def opening(self, cluster: StandIn, url: str) -> None:
        """The scene before anything happens."""
        print_ = self._console.print
        print_()
        print_(Line("[bold]A release went wrong", style="red"))
        print_(self._deployments(cluster))
        print_(
            f"Remediator listens on [bold]{escape(url)}[/] with the shipped rules, armed (mode: live);"
            " their proof is shortened from a minute to two seconds.\n"
        )

    def acting(self, began: datetime) -> None:
        """The scene in which it happens; times are told as seconds since it began."""
        self._began = began
        self._console.print(Line("[bold]What Remediator does", style="magenta"))

    def posted(self, peer: int, payload: Mapping[str, Any], status: int) -> None:
        """One webhook of the Alertmanager pair."""
        count = len(payload["alerts"])
        names = ", ".join(sorted({each["labels"]["alertname"] for each in payload["alerts"]}))
        self._console.print(
            f"[cyan]Alertmanager {peer} of 2[/] posts {count} firing alerts ({escape(names)})"
            f" → HTTP {status}, on disk"
        )

    def event(self, event: Event) -> None:
        """One event of the ledger: when, what, and the details in a column of their own."""
        if event.at < self._began:
            return
        kind = event.kind.value
        style = _ENDS.get(event.kind, _STYLES.get(kind.partition(".")[0], "white"))
        row = Table.grid(padding=(0, 2))
        row.add_column(width=7, justify="right", style="dim", no_wrap=True)
        row.add_column(width=_LONGEST_KIND, style=style, no_wrap=True)
        row.add_column(overflow="fold")
        after = (event.at - self._began).total_seconds()
        row.add_row(f"{after:.3f}s", kind, Text(_detail(event)))
        self._console.print(row)

    def ending(
        self, run: Run | None, cluster: StandIn, slack: SlackReceiver, pagerduty: PagerDutyReceiver
    ) -> None:
        """The scene afterwards, what Slack shows, and whom PagerDuty woke."""
        print_ = self._console.print
        print_()
        print_(Line("[bold]What people see in Slack", style="cyan"))
        for message in slack.messages:
            print_(render_message(message.payload))
        woken = [f"  [bold red]paged[/] {escape(each.summary)}" for each in pagerduty.incidents]
        print_("\n".join(woken) or "PagerDuty woke nobody.")
        print_()
        print_(Line("[bold]The cluster now", style="green"))
        print_(self._deployments(cluster))
        if run is None:
            print_("[bold red]The run did not end in time.[/]")
        elif run.state is RunState.SUCCEEDED and run.ended_at is not None:
            took = format_duration(run.ended_at - run.created_at)
            print_(
                f"[bold green]Repaired and verified in {took}.[/] One run and one rollback for all of them."
            )
        else:
            print_(f"[bold red]The run ended as {run.state.value}: {escape(run.detail)}[/]")

    def keeping(self, url: str, kubeconfig: str) -> None:
        """How to look around while it serves."""
        self._console.print(
            f"\nStill serving. In another terminal:\n"
            f"  export REMEDIATOR_URL={escape(url)}\n"
            f"  .venv/bin/remediator history\n"
            f"  KUBECONFIG={escape(kubeconfig)} kubectl -n {NAMESPACE} get deployments\n"
            "Ctrl-C ends it."
        )

    def _deployments(self, cluster: StandIn) -> Table:
        table = Table(box=None, padding=(0, 1))
        for head in ("deployment", "rev.", "image", "ready", ""):
            table.add_column(head, no_wrap=True)
        for name in (SERVICE, NEIGHBOUR):
            found = cluster.get("deployments", NAMESPACE, name)
            wanted = found["spec"]["replicas"]
            ready = found.get("status", {}).get("readyReplicas", 0)
            updated = found.get("status", {}).get("updatedReplicas", 0)
            well = ready == wanted == updated and cluster.healthy(NAMESPACE, name)
            table.add_row(
                name,
                found["metadata"]["annotations"].get(_ROLLED_OUT, ""),
                found["spec"]["template"]["spec"]["containers"][0]["image"].rpartition("/")[2],
                f"{ready}/{wanted}",
                "[green]healthy[/]" if well else "[red]pods crash[/]",
            )
        return table


def _detail(event: Event) -> str:
    tell = _DETAILS.get(event.kind)
    told = str(event.data.get("detail") or event.target or "") if tell is None else tell(event)
    return told.replace(f"{event.target}: ", "")


def _opened(event: Event) -> str:
    return f"{event.data.get('alertname')}, told by {event.data.get('source')}"


def _decided(event: Event) -> str:
    meaning = Reason(str(event.data.get("reason"))).meaning
    return f"{event.data.get('kind')}: {event.data.get('detail') or meaning}"


def _asked(event: Event) -> str:
    answers = event.data.get("answers")
    if not isinstance(answers, list):
        return ""
    objections = [f"{one['guard']} {one['answer']}" for one in answers if one["answer"] != "allows"]
    return ", ".join(objections) or "all allow: " + ", ".join(one["guard"] for one in answers)


_DETAILS: Mapping[EventKind, Callable[[Event], str]] = {
    EventKind.EPISODE_OPENED: _opened,
    EventKind.EPISODE_RESOLVED: _opened,
    EventKind.DECISION_MADE: _decided,
    EventKind.GUARDS_ASKED: _asked,
    EventKind.RUN_LEASED: lambda event: f"{event.target} is ours alone",
    EventKind.RUN_VERIFYING: lambda _: "the change is made; now the world has to prove it",
}
