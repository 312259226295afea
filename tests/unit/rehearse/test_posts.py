"""Webhooks from files: every form that they come in, and what is said of those that can't be used."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from remediator.rehearse.posts import PostsError, parse_posts, read_posts

T0 = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def body(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "alerts": list(alerts)}


def alert(status: str = "firing", starts: str = "2025-03-01T12:00:00Z", **more: str) -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": "A"}, "startsAt": starts, **more}


ONE, OTHER = body(alert()), body(alert(starts="2025-03-01T13:00:00+01:00"))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ONE) + json.dumps(OTHER),
        json.dumps(ONE) + "\n\n" + json.dumps(OTHER) + "\n",
        json.dumps([ONE, OTHER], indent=2),
        json.dumps([{"body": ONE}, {"body": json.dumps(OTHER)}]),
        "\ufeff" + json.dumps([ONE]) + json.dumps([OTHER]),
    ],
)
def test_every_form_of_two_webhooks_is_two(text: str) -> None:
    posts = parse_posts(text.encode(), "hooks")
    assert [json.loads(post.body) for post in posts] == [ONE, OTHER]
    assert [(post.at, post.source) for post in posts] == [(T0, "default")] * 2


def test_when_and_from_whom_it_came_may_be_told() -> None:
    told = {"body": ONE, "received_at": "2025-03-02T00:00:00.123456789Z", "source": "west"}
    (post,) = parse_posts(json.dumps(told).encode(), "hooks")
    assert (post.at, post.source) == (datetime(2025, 3, 2, 0, 0, 0, 123457, tzinfo=UTC), "west")


def test_else_it_came_at_the_latest_time_that_it_tells_of() -> None:
    resolved = alert("resolved", endsAt="2025-03-01T12:07:00Z")
    (post,) = parse_posts(json.dumps(body(alert(), resolved)).encode(), "hooks")
    assert post.at == datetime(2025, 3, 1, 12, 7, tzinfo=UTC)


def test_what_was_left_out_is_counted_and_no_longer_asked_for() -> None:
    (post,) = parse_posts(json.dumps({**ONE, "truncatedAlerts": 3}).encode(), "hooks")
    assert post.left_out == 3
    assert json.loads(post.body) == {**ONE, "truncatedAlerts": 0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{",
            "hooks:1: not JSON (Expecting property name enclosed in double quotes): give webhooks' bodies as",
        ),
        ("\n[{}", "hooks:2: not JSON: a list goes on with `,` or ends with `]`"),
        ("\n[", "hooks:2: not JSON: the list does not end: write `]`"),
        ("\n\n17", "hooks:3: a webhook is an object with `alerts`, and this is 17"),
        (
            "{}",
            "hooks:1: no Alertmanager v4 payload: Object missing required field `version`: give the body as",
        ),
        (
            '{"body": {}, "recieved": 1}',
            "hooks:1: unknown key 'recieved': beside `body` there may be `received_at`",
        ),
        ('{"body": {}, "source": 1}', "hooks:1: `source` is the name of the webhook's token"),
        ('{"version": "4", "alerts": []}', "hooks:1: it has no alerts, so that nothing tells when it came"),
        (
            '{"body": {"version": "4", "alerts": []}, "received_at": "2025-03-01"}',
            "hooks:1: `received_at` is a time such as 2025-03-01T12:00:00Z",
        ),
        ("[" * 100_000, "hooks:1: not JSON (nested too deeply)"),
    ],
)
def test_what_can_not_be_used_is_told_with_its_line_and_a_remedy(text: str, said: str) -> None:
    with pytest.raises(PostsError) as caught:
        parse_posts(text.encode(), "hooks")
    assert any(problem.startswith(said) for problem in caught.value.problems)


def test_what_is_no_text_is_told_with_its_line() -> None:
    with pytest.raises(PostsError, match="hooks:2: not UTF-8: save it as UTF-8"):
        parse_posts(b"\n\xff", "hooks")


def test_a_folder_is_read_whole_in_the_order_of_time_and_every_problem_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(body(alert(starts="2025-03-01T14:00:00Z"))))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.jsonl").write_text(json.dumps(ONE))
    (tmp_path / "notes.txt").write_text("not a webhook")
    assert [post.at.hour for post in read_posts(tmp_path)] == [12, 14]
    (tmp_path / "c.ndjson").write_text("{}\n17\n")
    with pytest.raises(PostsError) as caught:
        read_posts(tmp_path)
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        f"{tmp_path}/c.ndjson:1",
        f"{tmp_path}/c.ndjson:2",
    ]


def test_nothing_at_all_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(
        PostsError, match=r"no webhooks: put them into files that end in \.json, \.jsonl, \.ndjson"
    ):
        read_posts(tmp_path)
    with pytest.raises(PostsError, match=r"gone.json: can't be read: No such file or directory"):
        read_posts(tmp_path / "gone.json")
