"""One actor per target: tokens stamped on it, and writes that the API server refuses from anybody late.

A token is stamped on the Deployment if it is greater than the one there. Every write that follows is one
JSON Patch that tests the object's uid, that token, its bounds and the very fields that it replaces.
A failed test is a bare 422, so what changed is learnt by reading again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from remediator.actions.kubernetes.objects import (
    ATTEMPT,
    CHANGE_CAUSE,
    PROTECTED,
    TOKEN,
    Json,
    annotations_of,
    is_protected,
    labels_of,
    uid_of,
)
from remediator.clients.kubernetes import ApiError, KubernetesClient, Problem
from remediator.core.ids import Token
from remediator.core.ports.actions import ActionContext, Result
from remediator.core.runs import Outcome
from remediator.core.targets import Target

LONGEST_CAUSE = 250

Operation = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Barred:
    """The target must not be written to, and why; nothing was changed."""

    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """What to write, with its own tests, and how to name it once done."""

    operations: Sequence[Operation]
    done: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What must not have changed since the guards were asked: protection, and the labels they judged by."""

    labels: Mapping[str, str | None] = field(default_factory=dict)

    def left(self, target: Target, found: Json) -> str | None:
        """Why the target may be written to no more; ``None`` if it may."""
        if is_protected(found):
            return f"{target} has been protected by annotation {PROTECTED}"
        labels = labels_of(found)
        changed = next((key for key, value in self.labels.items() if labels.get(key) != value), None)
        if changed is None:
            return None
        now = f"is {labels[changed]!r} now" if changed in labels else "is gone"
        return f"{target} was judged by its label {changed}, which {now}"

    def tests(self, found: Json) -> list[Operation]:
        """Refuse the patch if that changes on its way; ``found`` has not left the bounds."""
        tests = []
        if noted := annotations_of(found):
            tests.append(test(noted.get(PROTECTED), "metadata", "annotations", PROTECTED))
        if self.labels and not labels_of(found):
            return [*tests, test(None, "metadata", "labels")]
        return [*tests, *(test(value, "metadata", "labels", key) for key, value in self.labels.items())]


class Tries:
    """How often to set an annotation again: when the object moved a few times, when a reply was lost once."""

    def __init__(self, *, moved: int = 4, lost: int = 1) -> None:
        self._left = {Problem.INVALID: moved, Problem.CONFLICT: moved, Problem.LOST: lost}

    def again(self, error: ApiError) -> bool:
        """Whether to look and try once more, which uses it up."""
        left = self._left.get(error.problem, 0)
        self._left[error.problem] = left - 1
        return left > 0


def pointer(*parts: str) -> str:
    """An RFC 6901 JSON Pointer."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def test(value: object, *path: str) -> Operation:
    """Refuse the whole patch unless this is there; ``None`` holds for what is absent."""
    return {"op": "test", "path": pointer(*path), "value": value}


def add(value: object, *path: str) -> Operation:
    """Set a member of a map that exists."""
    return {"op": "add", "path": pointer(*path), "value": value}


def replace(value: object, *path: str) -> Operation:
    """Set a member that exists."""
    return {"op": "replace", "path": pointer(*path), "value": value}


def annotate(found: Json, key: str, value: str) -> list[Operation]:
    """Tests that the annotation still is what ``found`` has, and sets it."""
    if found["metadata"].get("annotations"):
        return [
            test(annotations_of(found).get(key), "metadata", "annotations", key),
            add(value, "metadata", "annotations", key),
        ]
    return [test(None, "metadata", "annotations"), add({key: value}, "metadata", "annotations")]


async def stamp(
    client: KubernetesClient, target: Target, uid: str, token: Token, bounds: Bounds | None = None
) -> Json | Barred:
    """Put the token on the Deployment, unless it has it or a newer one, and return the Deployment after it.

    A stamp whose reply is lost is looked for and made again: it changes nothing but who may write. Without
    ``bounds``, as a probe's, it is put wherever the attempt may have been.

    Raises:
        ApiError: the API server couldn't be asked; the stamp may be there or not.
    """
    tries = Tries()
    while True:
        found = await client.get_deployment(target.namespace, target.name)
        held = annotations_of(found).get(TOKEN)
        if (barred := _barred(target, found, held, uid, token)) is not None:
            return barred
        if bounds is not None and (why := bounds.left(target, found)) is not None:
            return Barred(why)
        if held == str(token):
            return found
        tests = [] if bounds is None else bounds.tests(found)
        operations = [test(uid, "metadata", "uid"), *tests, *annotate(found, TOKEN, str(token))]
        try:
            return await client.patch_deployment(target.namespace, target.name, operations)
        except ApiError as error:
            if not tries.again(error):
                raise


async def write(client: KubernetesClient, context: ActionContext, stamped: Json, change: Change) -> Result:
    """Make the change by one JSON Patch that leaves the attempt's id on the Deployment.

    ``stamped`` is what :func:`stamp` returned, and what the change was made from.
    """
    target = context.target
    operations = [
        test(uid_of(stamped), "metadata", "uid"),
        test(str(context.token), "metadata", "annotations", TOKEN),
        *Bounds(context.labels).tests(stamped),
        *change.operations,
        add(context.attempt, "metadata", "annotations", ATTEMPT),
        add(_cause(context.cause), "metadata", "annotations", CHANGE_CAUSE),
    ]
    try:
        await client.patch_deployment(target.namespace, target.name, operations)
    except ApiError as error:
        if error.problem is Problem.LOST:
            return Result(Outcome.UNKNOWN, str(error))
        if error.problem is Problem.INVALID:
            return await _explained(client, context, stamped, operations, change, error)
        return Result(Outcome.FAILED, f"refused: {error}")
    return Result(Outcome.SUCCEEDED, change.done, change.values)


async def _explained(
    client: KubernetesClient,
    context: ActionContext,
    stamped: Json,
    sent: Sequence[Operation],
    change: Change,
    refusal: ApiError,
) -> Result:
    """What a 422 was about: the server doesn't say which test failed, or whether one did."""
    target = context.target
    try:
        found = await client.get_deployment(target.namespace, target.name)
    except ApiError as error:
        return Result(Outcome.FAILED, f"refused: {refusal}; why can't be read: {error}")
    if annotations_of(found).get(ATTEMPT) == context.attempt:
        return Result(Outcome.SUCCEEDED, change.done, change.values)
    barred = _barred(target, found, annotations_of(found).get(TOKEN), uid_of(stamped), context.token)
    if barred is not None:
        return Result(Outcome.FAILED, f"refused: {barred.why}")
    if (left := Bounds(context.labels).left(target, found)) is not None:
        return Result(Outcome.FAILED, f"refused: {left}")
    moved = [str(each["path"]) for each in sent if each["op"] == "test" and not _holds(found, each)]
    if moved:
        return Result(
            Outcome.FAILED, f"refused: somebody else changed {moved[0]} of {target} since it was planned"
        )
    return Result(Outcome.FAILED, f"refused: {refusal}")


def _holds(found: Json, tested: Operation) -> bool:
    value: object = found
    for part in str(tested["path"]).split("/")[1:]:
        value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, Mapping) else None
    return value == tested["value"]


def _barred(target: Target, found: Json, held: str | None, uid: str, token: Token) -> Barred | None:
    if uid_of(found) != uid:
        return Barred(f"{target} was deleted and made anew since it was planned")
    if held is None or held == str(token):
        return None
    remedy = f"if its writer is gone for good, remove the annotation {TOKEN}"
    if not held.isdecimal():
        return Barred(f"{target} bears {held[:40]!r} as fencing token, which is no number; {remedy}")
    if int(held) > token:
        return Barred(f"superseded: {target} bears fencing token {held}, newer than {token}; {remedy}")
    return None


def _cause(cause: str) -> str:
    line = " ".join(cause.split())
    return line if len(line) <= LONGEST_CAUSE else line[: LONGEST_CAUSE - 1] + "…"
