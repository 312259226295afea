"""What looks like a secret in rule files is refused wherever it stands, and quoted nowhere."""

from __future__ import annotations

import pytest

from remediator.rulebook import secrets
from tests.unit.rulebook.support import of_text

#: Put together here, since a scanner of this repository would take them for real ones.
WEBHOOK = "https://hooks.slack.com/" + "services/T0AB1CD2E/B0AB1CD2E/" + "a1B2c3D4e5F6g7H8i9J0k1L2"
ROUTING_KEY = "R0" + "15XUH7AYQ2BKDL0VGSN3WC8TFE9MPZ"
TOKEN_HEAD = "eyJhbGciOiJIUzI1NiJ9"
SECRETS = {
    WEBHOOK: "the URL of a Slack webhook",
    "xoxb" + "-2345678901-2345678901234-AbCdEfGhIjKl": "a token of Slack",
    "xapp" + "-1-A0123456789-0123456789": "a token of Slack",
    ROUTING_KEY: "a routing key of PagerDuty",
    "-----BEGIN " + "RSA PRIVATE KEY-----": "a private key",
    "AKIA" + "IOSFODNN7EXAMPLE": "an access key of AWS",
    "ghp" + "_0123456789abcdefghijABCDEFGHIJ456789": "a token of GitHub",
    "glpat" + "-0123456789abcdefghij": "a token of GitLab",
    "AIza" + "SyA0123456789abcdefghijABCDEFGHIJ45": "an API key of Google",
    TOKEN_HEAD + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w": "a JSON web token",
}
RULES = """
rules:
  - name: one
    summary: "{summary}"
    when: {{matchers: [alertname="A"]}}
    target: deployment/shop/cart
    report: [log]
# {comment}
"""


@pytest.mark.parametrize("secret", SECRETS, ids=SECRETS.values())
@pytest.mark.parametrize("where", ["summary", "comment"])
def test_a_secret_is_refused_at_its_place_and_not_quoted(secret: str, where: str) -> None:
    text = RULES.format(**{"summary": "", "comment": "", where: f"so: {secret} it is"})
    judgement = of_text(text)
    assert judgement.rulebook is None
    (error,) = judgement.errors
    line = text[: text.index(secret)].count("\n") + 1
    assert (error.place.line, error.place.column) == (line, text.splitlines()[line - 1].index(secret) + 1)
    assert error.message.startswith(f"this looks like {SECRETS[secret]}: ")
    assert secret not in str(judgement)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("password", "tr0ub4dor3x1q9z2"),
        ("routing_key", "0123456789abcdef0123456789abcdef"),
        ("pagerduty", "a1b2c3d4e5f60718293a4b5c6d7e8f90"),
        ("api-key", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
        ("SLACK_BOT_TOKEN", "Zm9vYmFyMTIzNDU2Nzg5MA=="),
    ],
)
@pytest.mark.parametrize("form", ["{key}: {value}", '"{key}": "{value}"', "# {key}={value}"])
def test_a_value_made_by_a_machine_behind_a_name_of_secrets(form: str, key: str, value: str) -> None:
    text = form.format(key=key, value=value)
    (found,) = secrets.find(text)
    assert text[found.start : found.end] == value


def test_a_password_in_a_url() -> None:
    assert "hunter2" not in str(of_text("channels: {db: 'postgresql://me:hunter2@db.shop/x'}"))
    assert [each.what for each in secrets.find("postgresql://me:hunter2@db.shop/x")] == [
        "a password in a URL"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "pagerduty: platform-oncall-2024",
        "pagerduty: {env: LEAD_ROUTING_KEY}",
        "pagerduty: {file: /var/run/secrets/remediator/lead-1-of-3}",
        "token: '{{ labels.token }}'",
        "summary: the token of https://hooks.slack.com has to be rotated",
        "matchers: ['secret_name=\"payments-tls-2024-06-01\"']",
        "url: http://prometheus.monitoring:9090/graph?g0=x@y",
        "name: rollback-after-password-change-v2",
        "image: registry.example/cart@sha256:0123456789abcdef0123456789abcdef",
        "# R0 is the router; AKIA is no key, nor is xoxb-",
    ],
)
def test_what_people_write_is_no_secret(text: str) -> None:
    assert secrets.find(text) == []


def test_everything_else_that_is_wrong_is_still_said() -> None:
    judgement = of_text(f"channels: {{ops: '{WEBHOOK}'}}\nscopes: {{}}\n")
    assert ["scopes" in str(judgement.errors), WEBHOOK[:20] in str(judgement.errors)] == [True, False]
