"""Settings: what is read from where, and that every problem is named at once without telling a secret."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import ValidationError

from remediator.core.rules import Mode
from remediator.core.targets import parse_target
from remediator.settings import (
    Address,
    Role,
    Settings,
    SettingsError,
    load_client_settings,
    load_settings,
)
from tests.support.pki import create_pki

SECRET = "s3cr3t-value"
HASH = f"sha256:{sha256(SECRET.encode()).hexdigest()}"
OTHER_HASH = f"sha256:{'d' * 64}"
SHARING = f"""
- {{name: ada, token_hash: '{HASH}', roles: [viewer], slack: U0123}}
- {{name: sam, token_hash: '{OTHER_HASH}', roles: [viewer], slack: U0123}}
"""
Env = Callable[..., None]


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Env:
    """Set REMEDIATOR_* variables by their names behind the prefix; none is set before."""
    for name in list(os.environ):
        if name.upper().startswith("REMEDIATOR_"):
            monkeypatch.delenv(name)

    def put(**variables: str | Path) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"REMEDIATOR_{name}", str(value))

    return put


def problems() -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_nothing_set_gives_the_defaults(env: Env) -> None:
    env()
    settings = load_settings()
    assert settings.listen == Address("127.0.0.1", 9095)
    assert settings.store == "sqlite:///remediator.db"
    assert settings.lease_ttl == timedelta(seconds=15)
    assert settings.rules == Path("rules")
    assert settings.mode is Mode.OBSERVE
    assert settings.credentials.api_is_open
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.log_format == "console"
    assert settings.warnings == ()


def test_everything_is_read(env: Env, tmp_path: Path) -> None:
    people = tmp_path / "people.yaml"
    people.write_text(f"- {{name: ada, token_hash: '{HASH}', roles: [operator], namespaces: [shop]}}\n")
    env(
        LISTEN="[::1]:80",
        STORE="sqlite:////var/lib/remediator.db",
        LEASE_TTL="1m30s",
        RULES="/etc/rules",
        MODE="Live",
        WEBHOOK_TOKEN="a:b",
        OPERATORS_FILE=people,
        SLACK_WEBHOOK_URL="https://hooks.slack.com/x",
        ALERTMANAGER_URL="http://a:9093/, https://u:p%40ss@b/prefix",
        PROMETHEUS_URL="http://p:9090/",
        PAGERDUTY_URL="http://127.0.0.1:1/v2/enqueue",
        LOG_FORMAT="json",
    )
    settings = load_settings()
    assert settings.listen == Address("::1", 80)
    assert str(settings.listen) == "[::1]:80"
    assert settings.lease_ttl == timedelta(seconds=90)
    assert settings.mode is Mode.LIVE
    assert [(each.name, each.token.get_secret_value()) for each in settings.webhook_token] == [("", "a:b")]
    (ada,) = settings.credentials.operators
    assert (ada.name, ada.roles, ada.namespaces) == (
        "ada",
        frozenset({Role.OPERATOR}),
        frozenset({"shop"}),
    )
    assert settings.alertmanager_url == ("http://a:9093", "https://u:p%40ss@b/prefix")
    assert settings.prometheus_url == "http://p:9090"
    assert {"a:b", "https://hooks.slack.com/x", "p%40ss", "p@ss"} <= settings.secrets


def test_they_can_not_be_changed(env: Env) -> None:
    env()
    with pytest.raises(ValidationError):
        load_settings().mode = Mode.LIVE  # type: ignore[misc]  # the very thing that must not work


def test_token_files_hold_named_and_unnamed_tokens_for_rotation(env: Env, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("old\nnew\r\n\nam-west: with:colon\n")
    env(WEBHOOK_TOKEN_FILE=file)
    tokens = [(each.name, each.token.get_secret_value()) for each in load_settings().webhook_token]
    assert tokens == [("", "old"), ("", "new"), ("am-west", "with:colon")]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secrets_file_is_one_value_without_its_line_end(env: Env, tmp_path: Path, ending: str) -> None:
    file = tmp_path / "routing"
    file.write_text(SECRET + ending)
    env(SLACK_BOT_TOKEN_FILE=file)
    key = load_settings().slack_bot_token
    assert key is not None
    assert key.get_secret_value() == SECRET


def test_pagerduty_has_a_key_for_whoever_is_on_call_and_named_ones_for_contacts(
    env: Env, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("on-call-key\nlead:lead-key\n")
    env(PAGERDUTY_ROUTING_KEY_FILE=file)
    assert load_settings().pagerduty_keys == {"": "on-call-key", "lead": "lead-key"}
    assert load_settings().warnings == ()


@pytest.mark.parametrize(
    ("lines", "said"), [("a\nb\n", "two keys without a name"), ("x:a\ny:b\nx:c\n", "two keys called x")]
)
def test_of_each_name_pagerduty_has_one_key(env: Env, tmp_path: Path, lines: str, said: str) -> None:
    file = tmp_path / "keys"
    file.write_text(lines)
    env(PAGERDUTY_ROUTING_KEY_FILE=file)
    (problem,) = problems()
    assert said in problem


def test_no_repr_tells_a_secret(env: Env) -> None:
    env(
        WEBHOOK_TOKEN=SECRET,
        OPERATOR_TOKEN=SECRET,
        VIEWER_TOKEN=SECRET,
        SLACK_WEBHOOK_URL=f"https://x/{SECRET}",
        SLACK_BOT_TOKEN=SECRET,
        SLACK_SIGNING_SECRET=SECRET,
        PAGERDUTY_ROUTING_KEY=SECRET,
        STORE=f"postgresql://u:{SECRET}@db/x",
        ALERTMANAGER_URL=f"http://u:{SECRET}@a",
        ALERTMANAGER_TOKEN=SECRET,
        HEARTBEAT_URL=f"https://hc.example/{SECRET}",
        PROMETHEUS_URL=f"http://u:{SECRET}@p",
    )
    settings = load_settings()
    for shown in (settings, settings.credentials, load_client_settings()):
        assert SECRET not in f"{shown!r} {shown}"
    assert SECRET in settings.secrets


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LISTEN", "9095", "host:port"),
        ("LISTEN", "127.0.0.1:70000", "host:port"),
        ("STORE", f"mysql://u:{SECRET}@db/x", "postgresql://"),
        ("STORE", "sqlite:///", "sqlite:///relative.db"),
        ("STORE", "sqlite:///:memory:", "sqlite:///relative.db"),
        ("LEASE_TTL", "15", "30s"),
        ("LEASE_TTL", "10ms", "from 1s to 10m"),
        ("MODE", "lve", "did you mean live?"),
        ("LOG_FORMAT", "jsn", "did you mean json?"),
        ("SLACK_API_URL", "https://slack.com/", "/api/"),
        ("SLACK_WEBHOOK_URL", SECRET, "no URL"),
        ("ALERTMANAGER_URL", "http://a,b:9093", "no URL"),
        ("PROMETHEUS_URL", "http://p:99999", "no URL"),
        ("SLACK_BOT_TOKEN", f"{SECRET}\n", "one plain line"),
        ("WEBHOOK_TOKEN", "", "set to nothing"),
        ("OPERATORS_FILE", "/does/not/exist", "/does/not/exist can't be read"),
        ("TLS_CERT", "/does/not/exist", "/does/not/exist can't be read"),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(env: Env, variable: str, value: str, said: str) -> None:
    env(**{variable: value})
    (problem,) = problems()
    assert problem.startswith(f"REMEDIATOR_{variable}: ")
    assert said in problem


def test_all_problems_come_at_once(env: Env, tmp_path: Path) -> None:
    env(
        LISTEN="0.0.0.0:1", MODE="x", LEASE_TTL="x", TLS_KEY=_file(tmp_path, "key"), VIEWER_TOKEN_FILE="/none"
    )
    named = {problem.partition(":")[0].removeprefix("REMEDIATOR_") for problem in problems()}
    assert named == {"MODE", "LEASE_TTL", "VIEWER_TOKEN", "TLS_CERT", "WEBHOOK_TOKEN", "OPERATOR_TOKEN"}


def test_a_secret_both_inline_and_in_a_file_is_an_error(env: Env, tmp_path: Path) -> None:
    env(SLACK_BOT_TOKEN=SECRET, SLACK_BOT_TOKEN_FILE=_file(tmp_path, SECRET))
    assert "REMEDIATOR_SLACK_BOT_TOKEN_FILE: unset one" in problems()[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no token"),
        ("\n \n", "no token"),
        (f"good\nbad name:{SECRET}", "line 2"),
        ("name:", "line 1: nothing follows"),
        (f"a:{SECRET}\nb:{SECRET}", "line 2: the same token"),
        (f"manual:{SECRET}", "line 1: manual is the source of runs by hand"),
        (f"{SECRET}\x00", "control character"),
    ],
)
def test_a_token_file_that_can_not_be_used_names_its_line(
    env: Env, tmp_path: Path, text: str, said: str
) -> None:
    env(WEBHOOK_TOKEN_FILE=_file(tmp_path, text))
    assert said in problems()[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is no YAML"),
        ("", "names nobody"),
        ("ada: x", "the top"),
        (f"- {{name: ada, token_hash: '{SECRET}', roles: [operator]}}", "0.token_hash"),
        (f"- {{name: ada, token_hash: '{HASH}', roles: []}}", "0.roles"),
        (f"- {{name: ada, token_hash: '{HASH}', roles: [king]}}", "0.roles"),
        (f"- {{name: ada, token_hash: '{HASH}', roles: [viewer], rolls: 1}}", "0.rolls"),
        (f"- &a {{name: ada, token_hash: '{HASH}', roles: [viewer]}}\n- *a", "share a name"),
        (f"- {{name: ada, token_hash: '{HASH}', roles: [viewer], slack: ada}}", "0.slack"),
        (f"- {{name: ada, token_hash: '{HASH}', roles: [viewer], slack: u0123}}", "0.slack"),
        (SHARING, "share a slack"),
    ],
)
def test_an_operators_file_that_can_not_be_used_names_the_place(
    env: Env, tmp_path: Path, text: str, said: str
) -> None:
    file = _file(tmp_path, text)
    env(OPERATORS_FILE=file)
    (problem,) = problems()
    assert said in problem
    assert str(file) in problem


def test_who_may_approve_goes_by_role_and_namespace(env: Env, tmp_path: Path) -> None:
    people = f"""
- {{name: ada, token_hash: '{HASH}', roles: [operator], slack: U012AB3CD}}
- {{name: sam, token_hash: '{OTHER_HASH}', roles: [viewer, operator], namespaces: [shop]}}
- {{name: vic, token_hash: 'sha256:{"c" * 64}', roles: [viewer]}}
"""
    env(OPERATORS_FILE=_file(tmp_path, people))
    credentials = load_settings().credentials
    assert [each.slack for each in credentials.operators] == ["U012AB3CD", None, None]
    assert credentials.approvers(parse_target("deployment/shop/cart")) == ("ada", "sam")
    assert credentials.approvers(parse_target("deployment/pay/cart")) == ("ada",)
    assert credentials.approvers(parse_target("node/n1")) == ("ada",)


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"MODE": "approve"}, "nobody can"),
        ({"SLACK_SIGNING_SECRET": SECRET}, "without REMEDIATOR_SLACK_BOT_TOKEN no message has buttons"),
        ({"SLACK_SIGNING_SECRET": SECRET, "SLACK_BOT_TOKEN": SECRET}, "nobody's clicks count"),
        ({}, None),
    ],
)
def test_ways_to_ask_by_which_nobody_can_answer_are_warned_of(
    env: Env, tmp_path: Path, given: dict[str, str], warned: str | None
) -> None:
    env(**given)
    warnings = load_settings().warnings
    assert len(warnings) == (warned is not None)
    assert warned is None or warned in warnings[0]
    person = f"- {{name: ada, token_hash: '{HASH}', roles: [operator], slack: U012AB3CD}}"
    env(**{**given, "OPERATORS_FILE": _file(tmp_path, person), "SLACK_BOT_TOKEN": SECRET})
    assert load_settings().warnings == ()


@pytest.mark.parametrize("listen", ["0.0.0.0:9095", ":9095", "[::]:9095", "10.0.0.1:9095", "box:9095"])
def test_beyond_loopback_it_refuses_to_start_without_tokens(env: Env, listen: str) -> None:
    env(LISTEN=listen)
    assert {each.partition(":")[0] for each in problems()} == {
        "REMEDIATOR_WEBHOOK_TOKEN",
        "REMEDIATOR_OPERATOR_TOKEN",
    }


@pytest.mark.parametrize("listen", ["127.0.0.1:9095", "127.9.9.9:1", "[::1]:9095", "localhost:9095"])
def test_on_loopback_tokens_are_optional(env: Env, listen: str) -> None:
    env(LISTEN=listen)
    assert load_settings().warnings == ()


def test_beyond_loopback_without_tls_it_warns(env: Env) -> None:
    env(LISTEN="0.0.0.0:9095", WEBHOOK_TOKEN=SECRET, VIEWER_TOKEN=SECRET)
    (warning,) = load_settings().warnings
    assert "REMEDIATOR_TLS_CERT" in warning


def test_unknown_variables_are_warned_of_with_the_nearest_right_word(env: Env) -> None:
    env(WEBHOK_TOKEN=SECRET, URL="http://127.0.0.1:1", SERVICE_HOST="10.0.0.1", PORT_9095_TCP="tcp://x")
    assert load_settings().warnings == (
        "REMEDIATOR_WEBHOK_TOKEN: is no setting; did you mean REMEDIATOR_WEBHOOK_TOKEN?",
    )


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://127.0.0.1:9095"),
        ({"LISTEN": "0.0.0.0:80"}, "http://127.0.0.1:80"),
        ({"LISTEN": "[::]:80", "TLS_CERT": "cert.pem"}, "https://[::1]:80"),
        ({"URL": "https://remediator.example/", "LISTEN": "0.0.0.0:80", "MODE": "nonsense"}, "https://remediator.example"),
    ],
)  # fmt: skip
def test_the_client_finds_the_daemon(env: Env, variables: dict[str, str], url: str) -> None:
    env(**variables)
    assert load_client_settings().base_url == url


def test_certificates_are_read_before_anything_starts(env: Env, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    env(ALERTMANAGER_CA=file)
    assert "can't be read" in problems()[0]
    file.write_text("no certificate")
    assert problems() == (
        f"REMEDIATOR_ALERTMANAGER_CA: {file} holds no certificates: give it one or more in PEM",
    )
    ca = create_pki(tmp_path / "pki").ca
    env(ALERTMANAGER_CA=ca)
    assert load_settings().alertmanager_ca == ca


def test_the_client_takes_the_strongest_token(env: Env) -> None:
    env(VIEWER_TOKEN="look")
    assert _token() == "look"
    env(OPERATOR_TOKEN="act")
    assert _token() == "act"


def test_every_setting_of_the_contract_is_known() -> None:
    contract = (
        "LISTEN TLS_CERT TLS_KEY STORE LEASE_TTL RULES MODE WEBHOOK_TOKEN OPERATOR_TOKEN VIEWER_TOKEN"
        " OPERATORS_FILE SLACK_WEBHOOK_URL SLACK_BOT_TOKEN SLACK_SIGNING_SECRET SLACK_API_URL"
        " PAGERDUTY_ROUTING_KEY PAGERDUTY_URL ALERTMANAGER_URL ALERTMANAGER_TOKEN ALERTMANAGER_CA"
        " HEARTBEAT_URL"
        " PROMETHEUS_URL LOG_FORMAT"
    )
    assert {name.upper() for name in Settings.model_fields} == set(contract.split())


def _token() -> str | None:
    token = load_client_settings().token
    return None if token is None else token.get_secret_value()


def _file(folder: Path, text: str) -> Path:
    file = folder / "file"
    file.write_text(text)
    return file


def test_the_logs_are_told_to_mask_the_passwords_within_urls(env: Env) -> None:
    env(STORE=f"postgresql://u:{SECRET}@db/x", ALERTMANAGER_URL="http://u:other-one@a")
    assert {SECRET, "other-one"} <= load_settings().secrets
