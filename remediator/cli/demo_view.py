"""What the demo prints: readable from across the desk, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule as Line
from rich.table import Table

from remediator.core.durations import format_duration
from remediator.core.events import Event, EventKind
from remediator.core.runs import Run, RunState
from remediator.sandbox.kubernetes import StandIn
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
_ROLLED_OUT = "deployment.kubernetes.io/revision"


class DemoView:
    """Prints the demo."""

    def __init__(self, console: Console) -> None:
        self._console = console

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

    def posted(self, peer: int, payload: Mapping[str, Any], status: int) -> None:
        """One webhook of the Alertmanager pair."""
        count = len(payload["alerts"])
        names = ", ".join(sorted({each["labels"]["alertname"] for each in payload["alerts"]}))
        self._console.print(
            f"[cyan]Alertmanager {peer} of 2[/] posts {count} firing alerts ({escape(names)})"
            f" → HTTP {status}, on disk"
        )

    def event(self, event: Event) -> None:
        """One event of the ledger."""
        kind = event.kind.value
        style = _ENDS.get(event.kind, _STYLES.get(kind.partition(".")[0], "white"))
        detail = escape(_detail(event))
        self._console.print(f"  [dim]{event.at:%H:%M:%S.%f}"[:-3] + f"[/]  [{style}]{kind:<19}[/] {detail}")

    def ending(self, run: Run | None, cluster: StandIn, slack: SlackReceiver) -> None:
        """The scene afterwards, and what Slack shows."""
        print_ = self._console.print
        print_()
        print_(Line("[bold]What people see in Slack", style="cyan"))
        for message in slack.messages:
            print_(render_message(message.payload))
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
    data = event.data
    if event.kind is EventKind.GUARDS_ASKED:
        answers = data.get("answers")
        if isinstance(answers, list):
            return ", ".join(f"{one['guard']} {one['answer']}" for one in answers)
    if event.kind is EventKind.DECISION_MADE:
        return f"{data.get('kind')}: {data.get('reason')} {data.get('detail') or ''}".rstrip()
    return str(data.get("detail") or event.target or "")
