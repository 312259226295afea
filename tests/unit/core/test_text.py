"""What is read from people and from labels: templates, targets, durations."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.durations import format_duration, parse_duration
from remediator.core.targets import KINDS, NAMESPACED_KINDS, Target, TargetError, parse_target, target_of
from remediator.core.templates import TemplateError, scope_of, target_template, template
from tests.unit.core.values import NOW

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

LABELS = {"job": "cart", "evil": "a/b", "jinja": "{{ labels.job }}", "items": "x", "long": "f" * 9_000}


def scope(**labels: str) -> dict[str, object]:
    return scope_of(
        labels={**LABELS, **labels},
        annotations={"n": "5"},
        fingerprint="f1",
        starts_at=NOW,
        group={},
        steps={"undo": {"to": 3}},
    )


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("plain", "plain"),
        ("{{ labels.job }}", "cart"),
        ("{{ labels['job'] | upper }}-x", "CART-x"),
        ('{{ labels.none | default("d") }}', "d"),
        ("{{ labels.items }}", "x"),
        ("{{ labels.jinja }}", "{{ labels.job }}"),
        ("{{ annotations.n | int + 1 }}", "6"),
        ("{{ steps.undo.to }}", "3"),
        ("{{ starts_at }}", "2026-03-01T12:00:00+00:00"),
        ("{{ 'a' if labels.job is defined else 'b' }}", "a"),
        ("{{ labels.job | replace('c', 'p') }}", "part"),
        ("{{ [labels.job, 'x'] | join('-') }}", "cart-x"),
        ("{{ 2.345 | round(1) }}", "2.3"),
    ],
)
def test_an_expression_is_filled_in(source: str, result: str) -> None:
    """A label's own text is never read as a template, and no label is hidden by a mapping's methods."""
    assert template(source).render(scope()) == result


ESCAPES = [
    "{{ labels.__class__ }}",
    "{{ labels['__class__'] }}",
    "{{ labels.job.__class__ }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ labels.keys }}",
    "{{ labels.job.format }}",
    "{{ labels.items() }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '%s' % labels }}",
    "{{ labels | attr('__class__') }}",
    "{{ labels.job | format(1) }}",
    "{{ [1] | map('upper') }}",
    "{{ labels | tojson }}",
    "{{ [labels] | join(attribute='__class__') }}",
    "{{ 1 is divisibleby 1 }}",
    "{{ self }}",
    "{{ range }}",
    "{{ cycler }}",
    "{{ config }}",
    "{{ loop }}",
    "{% for x in labels %}{% endfor %}",
    "{%- set x = 1 -%}",
    "{# nothing #}",
    "{{ labels.job * 10 }}",
    "{{ 9 ** 9 }}",
    "{{ labels.job[0:1] }}",
]
HUGE = [
    "{{ 'x' * 10**9 }}",
    "{{ 9**9**9**9 }}",
    "{{ labels.long ~ labels.long }}",
    "{{ labels.long | replace('', labels.long) }}",
    "{{ labels.long | replace('f', labels.long) | replace('f', labels.long) }}",
    "{{ labels.long | join(labels.long) }}",
    "{{ 5 | round(999999999, 'floor') }}",
    "{{ 5 | round(-99999999) }}",
    "{{ labels.long | int(0, 16) }}",
    "{{ 1 // 0 }}",
    "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}",
    "{{ " + "'a' ~ " * 20_000 + "'a' }}",
]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("source", [*ESCAPES, *HUGE], ids=lambda source: source[:40])
def test_no_template_gets_out_of_its_sandbox_or_out_of_bounds(source: str) -> None:
    """Law 10. Each is an error of its own kind, at once."""
    with pytest.raises(TemplateError):
        template(source).render(scope())


@pytest.mark.parametrize("source", ["{{ labels.nope }}", "{{ labels.nope | upper }}", "{{ steps.none.to }}"])
def test_what_is_undefined_is_an_error_that_names_it(source: str) -> None:
    with pytest.raises(TemplateError, match=r"'(nope|none)' is undefined"):
        template(source).render(scope())


@given(any_text)
def test_no_label_adds_a_segment_to_a_target(label: str) -> None:
    wanted = target_template("deployment/{{ labels.job }}/{{ labels.job }}")
    try:
        target = wanted.render(scope(job=label))
    except TargetError:
        return
    assert (target.kind, target.namespace, target.name) == ("deployment", label, label)


def test_a_slash_within_an_expression_is_no_separator() -> None:
    wanted = target_template('deployment/{{ labels.none | default("a/b") | replace("/", "-") }}/x')
    assert str(wanted.render(scope())) == "deployment/a-b/x"
    with pytest.raises(TargetError):
        target_template("deployment/shop/{{ labels.evil }}").render(scope())
    with pytest.raises(TargetError):
        target_template("deployment/{{ labels.evil }}").render(scope())


@pytest.mark.parametrize("source", ["node", "", "a/b/c/d/e"])
def test_a_target_has_two_to_four_segments(source: str) -> None:
    with pytest.raises(TemplateError):
        target_template(source)


# --- targets

LONG = "a" * 63
RFC1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("deployment/shop/cart", Target("default", "deployment", "shop", "cart")),
        ("default/deployment/shop/cart", Target("default", "deployment", "shop", "cart")),
        ("west/node/n1.example", Target("west", "node", "", "n1.example")),
        ("node/n1", Target("default", "node", "", "n1")),
        ("deployment/deployment/pod", Target("default", "deployment", "deployment", "pod")),
        (f"deployment/{LONG}/x", Target("default", "deployment", LONG, "x")),
    ],
)
def test_a_target_is_read_and_written_the_same(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "cart",
        "deployment",
        "deployment/cart",
        "deployment/shop/",
        "deployment//cart",
        "frob/a/b",
        "deployment/shop/Cart",
        "deployment/shop/a..b",
        "deployment/shop/-a",
        "deployment/shop/a.-b",
        "deployment/shop/a\n",
        "deployment/sh.op/a",
        f"deployment/{LONG}a/x",
        "node/" + "a" * 254,
        "node/a/b/c",
        "We st/node/a",
        "a/b/node/c",
        "deployment/shop/\u0663",
        "deployment/../x",
    ],
)
def test_what_is_no_target_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(TargetError) as refused:
        parse_target(text)
    assert len(str(refused.value)) < 250


@given(st.text("ab0-._/A", max_size=12))
def test_a_name_is_one_that_kubernetes_takes(name: str) -> None:
    valid = RFC1123.fullmatch(name) is not None
    try:
        assert target_of(["node", name]).name == name
        assert valid
    except TargetError:
        assert not valid


@given(
    st.sampled_from(sorted(KINDS)), st.lists(st.text("ab-", min_size=1, max_size=5), min_size=1, max_size=3)
)
def test_every_target_is_written_as_it_is_read(kind: str, rest: list[str]) -> None:
    segments = [kind, *rest] if len(rest) < 3 else [rest[0], kind, *rest[1:]]
    try:
        target = target_of(segments)
    except TargetError:
        return
    assert parse_target(str(target)) == target
    assert bool(target.namespace) is (kind in NAMESPACED_KINDS)


# --- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("8m", 480),
        ("1h30m", 5400),
        ("7d", 604_800),
        ("1w", 604_800),
        ("250ms", 0.25),
        ("0", 0),
        ("0s", 0),
        ("1m5ms", 60.005),
        ("3650d", 315_360_000),
        ("1w2d3h4m5s6ms", 788_645.006),
    ],
)
def test_a_duration_is_read_as_prometheus_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "1.5h",
        "-5m",
        "5m1h",
        "5 m",
        "5M",
        "5m5m",
        "\u0665s",
        "1y",
        "3651d",
        " 5s",
        "5s\n",
        "9" * 400 + "s",
        "9" * 5000 + "s",
        "9" * 30 + "ms",
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_duration_is_a_value_error_in_a_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"no duration|ten years"):
        parse_duration(text)


whole = st.integers(0, 999).map(lambda n: timedelta(milliseconds=n))
two_units = st.sampled_from([(86400, 23, 3600), (3600, 59, 60), (60, 59, 1)]).flatmap(
    lambda u: st.builds(
        lambda a, b: timedelta(seconds=a * u[0] + b * u[2]), st.integers(0, 23), st.integers(0, u[1])
    )
)


@given(st.one_of(whole, two_units))
def test_a_duration_of_two_units_survives_being_written(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


@given(st.timedeltas(timedelta(0), timedelta(days=3000)))
def test_any_duration_is_written_so_that_it_can_be_read_and_is_off_by_little(length: timedelta) -> None:
    assert abs(parse_duration(format_duration(length)) - length) <= length * 0.05 + timedelta(seconds=0.5)


def test_a_negative_length_is_written_with_its_sign() -> None:
    assert format_duration(timedelta(seconds=-90)) == "-1m30s"


@pytest.mark.parametrize("number", ["abc", "", "0x10", "\uff19", "1_0", "3.9", " 7", "9" * 19])
def test_what_is_no_plain_whole_number_is_an_error_and_never_zero(number: str) -> None:
    """Jinja's own `int` makes 0 of it, to which a Deployment could be scaled."""
    with pytest.raises(TemplateError, match="is no whole number"):
        template("{{ labels.n | int }}").render({"labels": {"n": number}})


def test_plain_numbers_are_read() -> None:
    assert template("{{ labels.n | int + 1 }}").render({"labels": {"n": "-6"}}) == "-5"
    assert template("{{ labels.n | float }}").render({"labels": {"n": "2.5"}}) == "2.5"
