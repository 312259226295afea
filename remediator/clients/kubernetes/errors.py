"""What may go wrong with a request to the API server, sorted by what it proves about the request."""

from __future__ import annotations

from enum import StrEnum

import msgspec

LONGEST_MESSAGE = 300


class Problem(StrEnum):
    """How a request ended without a usable answer.

    All but ``LOST`` prove that the request changed nothing.
    """

    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    CONFLICT = "conflict"
    INVALID = "invalid"
    THROTTLED = "throttled"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    LOST = "lost"


class ApiError(Exception):
    """A request to the API server failed; the message is one line without credentials.

    ``retry_after`` is in seconds, where the server named a time.
    """

    def __init__(self, problem: Problem, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.problem = problem
        self.retry_after = retry_after

    @property
    def may_pass(self) -> bool:
        """Whether asking again soon may help."""
        return self.problem in {Problem.CONFLICT, Problem.THROTTLED, Problem.UNAVAILABLE, Problem.LOST}


_PROBLEMS = {
    401: Problem.FORBIDDEN,
    403: Problem.FORBIDDEN,
    404: Problem.NOT_FOUND,
    409: Problem.CONFLICT,
    422: Problem.INVALID,
    429: Problem.THROTTLED,
}


def problem_of(status: int, *, writing: bool) -> Problem:
    """What an HTTP status says.

    The API server answers 5xx also when storage took too long to say whether it stored a write
    (``etcdserver: request timed out``), so that for a write it proves nothing.
    """
    if status >= 500:
        return Problem.LOST if writing else Problem.UNAVAILABLE
    return _PROBLEMS.get(status, Problem.REJECTED)


def one_line(text: str) -> str:
    """The text on one line, cut to what a person reads."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def message_of(body: bytes) -> str:
    """The message of a Kubernetes ``Status``, or whatever else the body says; it may be empty."""
    try:
        status = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return one_line(body[: 4 * LONGEST_MESSAGE].decode(errors="replace"))
    message = status.get("message") if isinstance(status, dict) else None
    return one_line(message) if isinstance(message, str) else ""
