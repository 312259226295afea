"""The rule files of the simulation: few rules that between them take every path of the engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path

from remediator.core.ports.channels import RuleFiles
from remediator.core.rules import Rule, Rulebook
from remediator.rulebook.source import FileRules, rulebook_hash
from tests.simulation.actions import OWN

#: Services, each a Deployment; the last two are out of bounds, each in a namespace of its own.
SERVICES = ("cart", "auth", "mail", "bank", "void")
PROTECTED, OUT_OF_SCOPE = "bank", "void"
SHOP = "shop"
#: What bears this is protected.
HELD = {"guard": "held"}
#: Of the three Deployments in the shop one, within so many seconds.
SHARE, SHARED, SHARE_WINDOW = 34, 1, 40
_SHARE = f", share: {SHARE}%/{SHARE_WINDOW}s, release_after: 15s"
CHANNEL = "slack:#sim"
#: The rule that counts alerts, how many it asks for, and within how many seconds.
COUNTING, AT_LEAST, WITHIN = "many-restart", 2, 20

#: The rules whose runs share their targets.
COPYING = ("disk-copy", "disk-copy-away")
#: The rule that preempts those, with a critical section: its first two steps.
MOVING = "lost-move"

_RULES = """
rules:
  - name: down-undo
    summary: Undo the last rollout of a service that went down
    when: {{matchers: ['alertname="Down"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    only_if: [{{check: kubernetes.rolled_out_within, with: {{window: 1h}}}}]
    limits: {{cooldown: {cooldown}s}}
    deadline: 90s
    steps: [{{id: undo, action: kubernetes.rollout_undo, timeout: 15s, retry: 1}}]
    verify: {{within: 20s, stable_for: 2s, checks: [{{check: kubernetes.rolled_out}}]}}
    on_failure: [{{id: again, action: kubernetes.rollout_restart, timeout: 15s}}]
    report: ["{channel}"]
    mode: live

  - name: slow-restart
    summary: Restart a slow service, and give it room
    when: {{matchers: ['alertname="Slow"'], firing_for: 2s}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s, targets: {targets}}}
    deadline: 60s
    steps:
      - {{id: restart, action: kubernetes.rollout_restart, timeout: 12s, retry: 2}}
      - {{id: room, action: kubernetes.scale, with: {{replicas: 2}}, timeout: 12s}}
    verify:
      within: 25s
      checks: [{{check: kubernetes.rolled_out}}, {{check: alert.resolved}}]
    report: ["{channel}"]
    mode: live

  - name: full-scale
    summary: Give a full service more replicas
    when: {{matchers: ['alertname="Full"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s, rate: [{rate}]}}
    deadline: 20s
    steps: [{{id: more, action: kubernetes.scale, with: {{replicas: 3}}, timeout: 12s}}]
    verify: {{within: 15s, checks: [{{check: kubernetes.pods_ready}}]}}
    report: ["{channel}"]
    mode: live
    continue: true

  - name: full-watch
    summary: What a restart would do
    when: {{matchers: ['alertname="Full"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s}}
    steps: [{{action: kubernetes.rollout_restart}}]
    report: ["{channel}"]

  - name: many-restart
    summary: Restart a service of which several instances are in trouble at once
    when:
      matchers: ['alertname="Many"']
      count: {{at_least: {at_least}, within: {within}s, by: [namespace, job]}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s}}
    deadline: 15s
    steps: [{{id: restart, action: kubernetes.rollout_restart, timeout: 12s}}]
    verify: {{within: 15s, checks: [{{check: kubernetes.rolled_out}}]}}
    report: ["{channel}"]
    mode: live

  - name: stuck-asks
    summary: Restart what is stuck, if a person says so
    when: {{matchers: ['alertname="Stuck"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s}}
    approval: {{within: 20s, otherwise: escalate}}
    deadline: 60s
    steps: [{{id: restart, action: kubernetes.rollout_restart, timeout: 12s}}]
    verify: {{within: 15s, checks: [{{check: kubernetes.rolled_out}}]}}
    report: ["{channel}"]
    mode: live

  - name: disk-copy
    summary: Copy a service's data before its disk is full
    when: {{matchers: ['alertname="Disk"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s}}
    deadline: 20s
    steps: [{{id: copy, action: kubernetes.rollout_restart, timeout: 20s, retry: 1}}]
    verify: {{within: 15s, checks: [{{check: kubernetes.pods_ready}}]}}
    report: ["{channel}"]
    mode: live
    continue: true

  - name: disk-copy-away
    summary: And once more, to another place
    when: {{matchers: ['alertname="Disk"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s}}
    deadline: 20s
    steps: [{{id: copy, action: kubernetes.rollout_restart, timeout: 20s, retry: 1}}]
    verify: {{within: 15s, checks: [{{check: kubernetes.rolled_out}}]}}
    report: ["{channel}"]
    mode: live

  - name: lost-move
    summary: Move a service over, whoever copies its data
    when: {{matchers: ['alertname="Lost"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s}}
    deadline: 60s
    steps:
      - {{id: fence, action: kubernetes.rollout_restart, timeout: 12s, retry: 1}}
      - {{id: promote, action: kubernetes.rollout_restart, timeout: 12s, retry: 1}}
      - {{id: room, action: kubernetes.scale, with: {{replicas: 2}}, timeout: 12s}}
    verify: {{within: 15s, checks: [{{check: kubernetes.rolled_out}}]}}
    report: ["{channel}"]
    mode: live

  - name: few-page
    summary: A person has to look at the one instance
    when: {{matchers: ['alertname="Many"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s}}
    steps: []
    report: ["{channel}"]

  - name: odd-page
    summary: A person has to look
    when: {{matchers: ['alertname="Odd"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.job }}}}
    limits: {{cooldown: {cooldown}s}}
    steps: []
    report: ["{channel}"]

defaults: {{report: ["{channel}"]}}
brake: {{parallel: {parallel}, targets: 100/40s, failures: 100/40s{share}}}
retention: {{{retention}}}
freezes: [{freeze}]
scope: {{namespaces: [{scope}]}}
protect: [{{names: [{protected}]}}, {{labels: {{guard: held}}}}]
"""

_SOURCE = FileRules(Path("rules"))
#: Of `full-scale` no more runs on one target within its rate's window than these; of `slow-restart` no more
#: targets in so many seconds.
RATE, TARGETS = 1, (1, 20)
#: For how long each is kept where rows are dropped, in seconds: bodies, events, and all that was decided.
BODIES, EVENTS, DECISIONS = 10, 15, 40
_RETENTION = f"bodies: {BODIES}s, events: {EVENTS}s, decisions: {DECISIONS}s"
#: What a freeze covers.
FROZEN = ("cart", "auth")


def space_of(name: str) -> str:
    """The namespace of a service."""
    return name if name in (PROTECTED, OUT_OF_SCOPE) else SHOP


def rule_files(
    *,
    parallel: int,
    cooldown: int,
    rate: int,
    share: bool,
    pruned: bool,
    freeze: tuple[datetime, datetime] | None,
) -> RuleFiles:
    """The files, with the brake's limits, of which one is rare, and the cooldown of every rule and the window
    of the one rate in seconds.

    ``pruned`` says that little is kept, ``freeze`` from when to when some services may not be changed.
    """
    frozen = "" if freeze is None else _freeze(*freeze)
    scope = ", ".join(sorted({space_of(name) for name in SERVICES} - {OUT_OF_SCOPE}))
    text = _RULES.format(
        channel=CHANNEL,
        parallel=parallel,
        cooldown=cooldown,
        scope=scope,
        protected=PROTECTED,
        at_least=AT_LEAST,
        within=WITHIN,
        share=_SHARE if share else "",
        freeze=frozen,
        retention=_RETENTION if pruned else "",
        rate=f"{RATE}/{rate}s",
        targets="{}/{}s".format(*TARGETS),
    )
    texts = {"rules.yaml": text}
    return RuleFiles(texts, rulebook_hash(texts))


def _freeze(begins: datetime, ends: datetime) -> str:
    time = f"from: {begins:%Y-%m-%d %H:%M}, to: {ends:%Y-%m-%d %H:%M}"
    return f"{{summary: a launch, {time}, names: [{', '.join(FROZEN)}]}}"


@cache
def _compiled(text: str) -> Rulebook:
    texts = {"rules.yaml": text}
    book = _SOURCE.compile(RuleFiles(texts, rulebook_hash(texts)))
    return replace(book, rules=tuple(map(_with_own_actions, book.rules)))


def _with_own_actions(rule: Rule) -> Rule:
    steps = (replace(step, action=OWN.get(step.id, step.action)) for step in rule.steps)
    return replace(rule, steps=tuple(steps))


class SharedRules:
    """The files as every replica finds them; a person may change them."""

    def __init__(self, files: RuleFiles) -> None:
        self.files = files

    def read(self) -> RuleFiles:
        return self.files

    def compile(self, files: RuleFiles) -> Rulebook:
        """Compiled once for each text: that takes longer than a whole simulation."""
        return _compiled(files.texts["rules.yaml"])
