"""Diffs for people: what changes is shown, what is secret is not."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.kubernetes.diffs import LONGEST_DIFF, diff, headline


def template(image: str = "shop/cart:1", **container: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "main", "image": image, **container}]}}


def shown(before: dict[str, Any], after: dict[str, Any]) -> str:
    return diff(before, after, "old", "new")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("registry:5000/auth:1.4.1", "registry:5000/auth:1.4.0", "image registry:5000/auth:1.4.1 → 1.4.0"),
        ("auth:1", "login:1", "image auth:1 → login:1"),
        ("auth@sha256:aa", "auth@sha256:bb", "image auth@sha256:aa → sha256:bb"),
        ("auth", "auth:2", "image auth → auth:2"),
        ("auth:1", "auth:1", "same images"),
    ],
)
def test_the_headline_names_the_image_that_changes(before: str, after: str, words: str) -> None:
    assert headline(template(before), template(after)) == words


def test_several_images_are_counted() -> None:
    def two(tag: str) -> dict[str, Any]:
        pair = [{"name": name, "image": f"{name}:{tag}"} for name in ("app", "sidecar")]
        return {"spec": {"containers": pair}}

    assert headline(two("1"), two("2")) == "2 images change"


@pytest.mark.parametrize(
    "secret",
    [
        {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]},
        {"env": [{"name": "DB_PASS", "value": "hunter2"}]},
        {"env": [{"name": "JWT_KEY", "value": "hunter2"}]},
        {"env": [{"name": "SLACK_URL", "value": "https://hooks.slack.com/services/T0/B0/hunter2"}]},
        {"env": [{"name": "MODE", "value": "hunter2"}]},
        {"env": [{"name": "STRIPE_API_KEY", "value": "hunter2"}]},
        {"env": [{"name": "DATABASE_URL", "value": "postgres://cart:hunter2@db/cart"}]},
        {"args": ["--token=hunter2"]},
        {"args": ["--admin-password", "hunter2"]},
        {"args": ["--db-pass", "hunter2"]},
        {"args": ["--signing-key=hunter2"]},
        {"args": ["serve --session-cookie 'a hunter2'"]},
        {"args": ["-H", "Authorization: Bearer hunter2"]},
        {"args": ['{"api_token": "hunter2"}']},
        {"args": ["postgres://cart:p@ss/hunter2@db/cart"]},
        {"command": ["notify", "https://hooks.slack.com/services/T0AB/B0CD/hunter2Xy7Qm3Kp9Zr"]},
        {"command": ["notify", "xoxb-hunter2-7Qm3Kp9Zr"]},
        {"livenessProbe": {"httpGet": {"httpHeaders": [{"name": "X-Caller", "value": "hunter2"}]}}},
        {"command": ["sh", "-c", "export SECRET=hunter2; run"]},
    ],
    ids=str,
)
def test_secrets_are_hidden_on_either_side(secret: dict[str, Any]) -> None:
    for before, after in ((template(), template(**secret)), (template(**secret), template())):
        text = shown(before, after)
        assert "hunter2" not in text
        assert "(hidden" in text


def test_a_secret_that_changes_is_seen_to_change() -> None:
    def env(value: str) -> dict[str, Any]:
        return template(env=[{"name": "TOKEN", "value": value}])

    assert "+      value: (hidden, changed)" in shown(env("one"), env("two"))
    assert shown(env("one"), env("one")) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"args": ["--token=one"]}, {"args": ["--token=other"]}),
        ({"args": ["--token", "one"]}, {"args": ["--token", "other"]}),
        ({"args": ["https://u:one@db"]}, {"args": ["https://u:other@db"]}),
    ],
)
def test_a_hidden_argument_that_changes_is_seen_to_change(one: dict[str, Any], other: dict[str, Any]) -> None:
    text = shown(template(**one), template(**other))
    assert "(hidden, changed)" in text
    assert "one" not in text
    assert "other" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [("config", "password is hunter2, " + "x " * 40), ("vault/token", "hunter2")],
    ids=["long", "named"],
)
def test_annotations_that_are_long_or_named_like_secrets_are_hidden(name: str, value: str) -> None:
    def annotated(text: str) -> dict[str, Any]:
        return {"metadata": {"annotations": {name: text, "team": "cart"}}, **template()}

    added = shown(template(), annotated(value))
    assert "hunter2" not in added
    assert "team: cart" in added
    assert "(hidden, changed)" in shown(annotated(value), annotated(value + "3"))


def test_what_is_no_secret_is_shown() -> None:
    plain = ["--port", "8080", "--upstream=http://cart.shop.svc:80/api/v2", "cart-canary-production-v2"]
    image = "shop/auth@sha256:" + "0a1b2c3d" * 8
    changed = template(image, env=[{"name": "MODE", "value": "fast"}], args=plain, imagePullPolicy="Always")
    text = shown(template("shop/auth:1"), changed)
    for word in (*plain, "MODE", "Always", image, "shop/auth:1"):
        assert word in text


def test_a_reference_to_a_secret_is_shown_since_it_holds_none() -> None:
    reference = {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    assert "secretKeyRef" in shown(template(), template(env=[reference]))


def test_a_huge_diff_is_cut() -> None:
    many = [{"name": f"V{number:04}", "value": "x"} for number in range(1000)]
    text = shown(template(), template(env=many))
    assert len(text.splitlines()) == LONGEST_DIFF + 1
    assert text.endswith("more lines")
