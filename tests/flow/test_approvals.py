"""A person is asked first: what they approve is what is done, once, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from remediator.core.approvals import APPROVE, DENY
from remediator.core.rules import Mode
from remediator.sandbox.clicks import buttons
from remediator.sandbox.slack import Whisper
from tests.support.daemon import ADAS, OPERATOR, Story, World, changing, moment, written
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, SERVICE, alert, image, rule, rules, step

ASKING = {"approval": {"within": "10m"}}


async def asked(world: World, number: int = 1) -> Story:
    """The newest run, once it has asked so many times and waits."""
    run = await world.story(await world.run_in("asking"))
    assert len(run["approvals"]) == number, run["approvals"]
    return run


async def say(
    world: World, verb: str, run: Story, *, token: str = ADAS, **body: Any
) -> tuple[int, dict[str, Any]]:
    return await world.ask("POST", f"/api/v1/runs/{run['id']}/{verb}", {"why": "looked", **body}, token=token)


MODES = [
    pytest.param(Mode.APPROVE, {"mode": "live"}, id="the daemon's mode"),
    pytest.param(Mode.LIVE, {"mode": "approve"}, id="the rule's mode"),
    pytest.param(Mode.LIVE, {"mode": "live", **ASKING}, id="the rule's approval"),
]


@pytest.mark.parametrize(("daemon", "written"), MODES)
async def test_nothing_is_touched_before_a_person_approves_and_then_exactly_that_is_done(
    world: World, daemon: Mode, written: dict[str, Any]
) -> None:
    await world.start(rules(rule(**written)), mode=daemon)
    await world.fire(await world.break_service())
    run = await asked(world)
    (request,) = run["approvals"]
    assert request["outcome"] is None
    assert request["asked"] == ["ada"]
    assert request["otherwise"] == "escalate"
    assert (request["until"], run["deadline"]) == (run["deadline"], request["until"])
    assert "revision 3 → 2" in request["steps"][0]["summary"]
    assert f"+    - image: {image(SERVICE, 2)}" in request["steps"][0]["diff"].replace("+  - ", "+    - ")
    assert not world.cluster.audit.changes(verb="patch", user="system:anonymous")
    status, said = await say(world, "approve", run, digest=request["digest"])
    assert (status, said["outcome"], said["who"], said["how"]) == (200, "granted", "ada", "api")
    done = await world.run_ended()
    assert done["outcome"] == "succeeded"
    assert [attempt["diff"] for attempt in done["attempts"]] == [request["steps"][0]["diff"]]
    assert len(world.applied()) == 1
    assert world.image_of() == image(SERVICE, 2)


async def test_live_without_approval_asks_nobody(world: World) -> None:
    await world.start(rules())
    await world.fire(await world.break_service())
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert run["approvals"] == []


async def test_observe_asks_nobody_whatever_the_rule_says(world: World) -> None:
    await world.start(rules(rule(**ASKING, mode="observe")))
    await world.fire(await world.break_service())
    run = await world.run_ended()
    assert (run["outcome"], run["approvals"]) == ("observed", [])


async def test_a_denial_is_final_and_told_with_who_and_why(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    run = await asked(world)
    status, _ = await say(world, "deny", run, why="a fix is on its way")
    assert status == 200
    done = await world.run_ended()
    assert (done["outcome"], done["reason"]) == ("refused", "denied")
    await world.told("cart: denied by ada", "a fix is on its way")
    await world.idle()
    assert not world.pages
    assert not world.applied()
    status, said = await say(world, "approve", run)
    assert status == 409
    assert "already denied by ada" in said["detail"]


async def test_each_answer_that_does_not_count_says_why(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    run = await asked(world)
    answers = [
        (say(world, "approve", run, digest="f" * 12), 409, "the plan has changed since"),
        (say(world, "approve", run, token=OPERATOR), 403, "needs a person"),
        (say(world, "approve", run, why="  "), 422, "`why` is empty"),
        (say(world, "approve", {"id": "r-none"}), 404, "there is no run r-none"),
        (say(world, "approve", run), 200, ""),
        (say(world, "approve", run), 409, "already approved by ada"),
        (say(world, "deny", run), 409, "already approved by ada"),
    ]
    for answer, wanted, told in answers:
        status, said = await answer
        assert status == wanted, said
        assert told in said.get("detail", "")
    assert (await world.run_ended())["outcome"] == "succeeded"
    status, said = await say(world, "deny", run)
    assert status == 409
    assert len(world.applied()) == 1


async def test_a_run_that_asks_nobody_can_not_be_approved(world: World) -> None:
    await world.start(rules())
    await world.fire(await world.break_service())
    status, said = await say(world, "approve", await world.run_ended())
    assert (status, "nobody was asked" in said["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("otherwise", "outcome", "reason", "pages"),
    [
        ("escalate", "expired", "unanswered", 1),
        ("skip", "expired", "lapsed", 0),
        ("run", "succeeded", None, 0),
    ],
)
async def test_when_nobody_answers_the_rule_has_said_what_happens(
    world: World, otherwise: str, outcome: str, reason: str | None, pages: int
) -> None:
    await world.start(rules(rule(approval={"within": "1s", "otherwise": otherwise})))
    await world.fire(await world.break_service())
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == (outcome, reason)
    (request,) = run["approvals"]
    assert (request["who"], request["how"]) == ("", "nobody")
    await world.idle()
    assert len(world.pages) == pages
    assert len(world.applied()) == (outcome == "succeeded")
    status, said = await say(world, "approve", run)
    assert (status, "already" in said["detail"]) == (409, True)


async def test_resolved_while_waiting_cancels_it(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    firing = await world.break_service()
    await world.fire(firing)
    run = await asked(world)
    await world.resolve(firing)
    done = await world.run_ended()
    assert (done["outcome"], done["approvals"][0]["outcome"]) == ("cancelled", "withdrawn")
    await world.told("nothing to approve any more")
    status, said = await say(world, "approve", run)
    assert (status, "withdrawn" in said["detail"]) == (409, True)
    assert not world.applied()


async def test_further_alerts_join_what_waits(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    await asked(world)
    await world.fire(alert(instance="10.0.0.2:80"))
    await world.decided("joined")
    assert len(await world.runs()) == 1


async def test_what_changed_between_plan_and_grant_is_not_done_but_asked_anew(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    run = await asked(world)
    world.cluster.set_image(NAMESPACE, SERVICE, image(SERVICE, 4))
    await world.cluster.settled()
    await say(world, "approve", run, digest=run["approvals"][0]["digest"])
    again = await asked(world, 2)
    assert not world.applied()
    old, new = again["approvals"]
    assert (old["outcome"], new["outcome"]) == ("granted", None)
    assert old["digest"] != new["digest"]
    await world.told("the plan changed, wants approval anew")
    (event,) = [e for e in again["events"] if e["kind"] == "run.asked" and e["data"]["difference"]]
    assert "revision 3 → 2" in event["data"]["difference"]
    status, said = await say(world, "approve", run, digest=old["digest"])
    assert (status, "the plan has changed" in said["detail"]) == (409, True)
    await say(world, "approve", run, digest=new["digest"])
    assert (await world.run_ended())["attempts"][0]["diff"] == new["steps"][0]["diff"]


async def test_a_world_that_keeps_changing_is_not_asked_about_for_ever(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    for number in range(1, 4):
        run = await asked(world, number)
        world.cluster.set_image(NAMESPACE, SERVICE, image(SERVICE, 3 + number))
        await world.cluster.settled()
        await say(world, "approve", run)
    done = await world.run_ended()
    assert (done["outcome"], done["reason"]) == ("refused", "outdated")
    assert not world.applied()
    await world.paged("each time the plan changed")


async def test_a_fact_that_holds_no_more_at_the_grant_refuses(world: World) -> None:
    only_if = [{"check": "kubernetes.gitops_managed", "expect": "no"}]
    await world.start(rules(rule(**ASKING, only_if=only_if)))
    await world.fire(await world.break_service())
    run = await asked(world)
    world.cluster.annotate(NAMESPACE, SERVICE, {"argocd.argoproj.io/tracking-id": "shop:apps"})
    await say(world, "approve", run)
    done = await world.run_ended()
    assert (done["outcome"], done["reason"]) == ("refused", "outdated")
    assert "kubernetes.gitops_managed" in done["detail"]
    assert not world.applied()


async def test_a_grant_is_held_by_a_pause_and_refused_by_protection(world: World) -> None:
    """A grant decides everything anew."""
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    run = await asked(world)
    status, _ = await world.ask("POST", "/api/v1/pauses", {"why": "freeze"})
    assert status == 201
    await say(world, "approve", run)
    waiting = await world.run_in("ready")
    assert not world.applied()
    world.write_rules(rules(rule(**ASKING), protect=[{"names": [SERVICE]}]))
    assert (await world.ask("POST", "/api/v1/rulebook/reload", {}))[0] == 200
    assert (await world.ask("POST", "/api/v1/resume", {"why": "over"}))[0] == 200
    done = await world.run_ended()
    assert done["id"] == waiting["id"]
    assert (done["outcome"], done["reason"]) == ("refused", "protected")
    assert not world.applied()


async def test_the_time_that_people_take_is_not_the_run_s(world: World) -> None:
    """With a deadline of a second, and an answer after two, it still has its second."""
    await world.start(rules(rule(**ASKING, deadline="3s", steps=[step(timeout="1s")])))
    await world.fire(await world.break_service())
    run = await asked(world)
    await world.past(moment(run["started"]) + timedelta(seconds=3.5))
    await say(world, "approve", run)
    assert (await world.run_ended())["outcome"] == "succeeded"


async def test_later_steps_are_shown_and_done_as_they_were_approved(world: World) -> None:
    steps = [step(id="undo"), step("kubernetes.scale", with_={"replicas": 5})]
    await world.start(rules(rule(**ASKING, steps=steps, on_failure=[step("kubernetes.rollout_restart")])))
    await world.fire(await world.break_service())
    run = await asked(world)
    (request,) = run["approvals"]
    assert [each["step"] for each in request["steps"]] == ["undo", "scale"]
    assert "2 → 5 replicas" in request["steps"][1]["summary"]
    assert [each["action"] for each in request["fallback"]] == ["kubernetes.rollout_restart"]
    await say(world, "approve", run)
    done = await world.run_ended()
    assert done["outcome"] == "succeeded"
    assert [each["action"] for each in done["attempts"]] == ["kubernetes.rollout_undo", "kubernetes.scale"]


async def test_what_can_not_be_planned_asks_nobody_and_fails(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(alert("missing"))
    done = await world.run_ended()
    assert (done["outcome"], done["approvals"]) == ("failed", [])
    await world.idle()
    assert len(world.pages) == 1


async def test_what_it_falls_back_to_is_asked_for_when_the_first_step_can_not_begin(world: World) -> None:
    await world.start(rules(rule(**ASKING, on_failure=[step("kubernetes.rollout_restart")])))
    world.cluster.deploy(NAMESPACE, SERVICE, image(SERVICE, 1))
    await world.cluster.settled()
    await world.fire(alert())
    run = await asked(world)
    assert [each["action"] for each in run["approvals"][0]["steps"]] == ["kubernetes.rollout_restart"]
    assert not world.applied()
    await say(world, "approve", run)
    done = await world.run_ended()
    assert [each["action"] for each in done["attempts"]] == ["kubernetes.rollout_restart"]
    assert len(world.applied()) == 1


async def test_the_command_line_shows_what_waits_and_answers_it(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    run = await asked(world)
    _, status, _ = await world.cli("status")
    assert f"waits for approval {run['id']}" in status
    assert "ada may approve" in status
    _, shown, _ = await world.cli("show", run["id"])
    assert "revision 3 → 2" in shown
    assert f"+      - image: {image(SERVICE, 2)}" in shown or f"image: {image(SERVICE, 2)}" in shown
    code, _, errors = await world.cli("approve", run["id"], "--why", "x")
    assert (code, "needs a person" in errors) == (1, True)
    digest = run["approvals"][0]["digest"][:12]
    code, said, errors = await world.cli(
        "approve", run["id"], "--digest", digest, "--why", "I looked", token=ADAS
    )
    assert code == 0, errors
    assert "granted" in said
    assert "I looked" in said
    assert (await world.run_ended())["outcome"] == "succeeded"
    _, explained, _ = await world.cli("explain", run["id"])
    assert "granted" in explained
    assert "by ada (api): I looked" in explained
    code, _, errors = await world.cli("deny", run["id"], "--why", "late", token=ADAS)
    assert (code, "already approved by ada" in errors) == (1, True)


# In Slack.


async def test_a_click_approves_and_the_message_then_says_who_did_and_when(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    asking = await world.told("cart: wants approval")
    assert f"image: {image(SERVICE, 2)}" in written(asking)
    assert "revision 3 → 2" in written(asking)
    assert "*May approve*\\nada" in written(asking)
    assert "UTC, then it ends and pages" in written(asking)
    assert [button["action_id"] for button in buttons(asking)] == [APPROVE, DENY]
    assert [each.text for each in world.slack.messages] == [asking.text]
    assert await world.press(asking, APPROVE, "UADA") == 200
    done = await world.run_ended()
    assert (done["outcome"], done["approvals"][0]["how"]) == ("succeeded", "slack")
    settled = await world.told("cart: approved by ada")
    assert (settled.ts, settled.channel, settled.edits) == (asking.ts, asking.channel, 1)
    assert "approved by ada (slack) at" in written(settled)
    assert list(buttons(settled)) == []
    await world.told("repaired and verified", "approved by ada (slack)")
    await world.idle()
    assert len(world.slack.messages) == 2
    assert world.slack.whispers == []
    assert len(world.applied()) == 1


async def test_a_click_denies(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    asking = await world.told("wants approval")
    assert await world.press(asking, DENY, "UADA") == 200
    assert (await world.run_ended())["reason"] == "denied"
    await world.told("cart: denied by ada")
    await world.idle()
    assert [(each.ts, each.edits) for each in world.slack.messages] == [(asking.ts, 1)]


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("UPAT", "pat may not approve what is done to deployment/shop/cart: only act on targets of payments"),
        ("UVIC", "vic may look, not act"),
        ("U0123", "Slack user U0123 is nobody of `OPERATORS_FILE,`"),
    ],
)
async def test_a_click_of_whom_it_is_not_for_is_answered_to_them_alone(
    world: World, user: str, said: str
) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    asking = await world.told("wants approval")
    assert await world.press(asking, APPROVE, user) == 200
    (whisper,) = await eventually(lambda: world.slack.whispers, "they are told")
    assert (whisper.user, whisper.channel) == (user, asking.channel)
    assert said in whisper.text
    assert (await world.run_in("asking"))["outcome"] is None
    assert not world.applied()


async def test_the_buttons_of_an_older_message_are_gone_and_no_longer_count(world: World) -> None:
    await world.start(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    old = await world.told("wants approval")
    world.cluster.mend_image(image(SERVICE, 3))
    world.cluster.set_image(NAMESPACE, SERVICE, image(SERVICE, 4))
    await world.cluster.settled()
    assert await world.press(old, APPROVE, "UADA") == 200
    new = await world.told("the plan changed, wants approval anew")
    assert new.ts != old.ts
    assert await world.press(old, APPROVE, "UADA") == 200
    (whisper,) = await eventually(lambda: world.slack.whispers, "they are told")
    assert whisper == Whisper("UADA", old.channel, whisper.text)
    assert "the plan has changed since" in whisper.text
    assert not world.applied()
    assert await world.press(new, APPROVE, "UADA") == 200
    assert (await world.run_ended())["outcome"] == "succeeded"


async def test_a_bot_without_a_signing_secret_and_an_incoming_webhook_show_what_to_type(world: World) -> None:
    await world.start(rules(rule(**ASKING)), slack_signing_secret=None)
    await world.fire(await world.break_service())
    run = await asked(world)
    command = f"remediator approve {run['id']} --digest {run['approvals'][0]['digest'][:12]}"
    asking = await world.told("wants approval", command, f"remediator deny {run['id']}")
    assert list(buttons(asking)) == []
    await world.stop()
    url = SecretStr(world.slack.webhook_url)
    await world.start(slack_bot_token=None, slack_webhook_url=url)
    await world.fire(alert("auth"), await world.break_service("auth"))
    await world.told("auth: wants approval", "remediator approve")
    await say(world, "deny", await world.run_in("asking"))
    await world.told("auth: denied by ada")


# What waits for people outlives the daemon.


async def test_killed_while_it_waits_nothing_is_lost(world: World) -> None:
    process = await world.spawn(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    asking = await world.told("wants approval")
    before = await asked(world)
    process.kill()
    await world.spawn()
    assert (await asked(world))["approvals"] == before["approvals"]
    assert await world.press(asking, APPROVE, "UADA") == 200
    done = await world.run_ended()
    assert (done["id"], done["outcome"]) == (before["id"], "succeeded")
    await world.told("approved by ada")
    await world.idle()
    assert len(world.applied()) == 1
    assert len([each for each in world.slack.messages if "wants approval" in each.text]) == 0


async def test_killed_after_the_grant_it_acts_once_by_it(world: World) -> None:
    process = await world.spawn(rules(rule(**ASKING)))
    await world.fire(await world.break_service())
    run = await asked(world)
    held = world.hold(changing)
    assert (await say(world, "approve", run))[0] == 200
    await held.struck()
    process.kill()
    held.release()
    await world.spawn()
    done = await world.run_ended()
    assert done["outcome"] == "succeeded"
    assert len(done["approvals"]) == 1
    assert len(world.applied()) == 1


async def test_what_lapses_while_nobody_is_there_lapses_at_the_next_start(world: World) -> None:
    process = await world.spawn(rules(rule(approval={"within": "2s"})))
    await world.fire(await world.break_service())
    run = await asked(world)
    process.kill()
    await world.past(moment(run["deadline"]))
    await world.spawn()
    done = await world.run_ended()
    assert (done["outcome"], done["reason"]) == ("expired", "unanswered")
    assert not world.applied()
    await world.paged("expired")
