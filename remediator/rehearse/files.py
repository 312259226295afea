"""Files of rule tests: where they are, and what is wrong with them, as of rule files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path

from remediator.core.ports.channels import RulebookError
from remediator.core.rules import Rulebook
from remediator.rehearse.models import Expectation, Person, Test, TestFile
from remediator.rulebook.document import Document, read
from remediator.rulebook.problems import Findings, Place, Problem, Reporter, nearest, shown
from remediator.rulebook.source import SUFFIX, FileRules, read_text
from remediator.rulebook.validation import validate

#: Folders with tests in them are called so; rules are not read from them.
FOLDER = "tests"
_OVERLOOKED = ".yml"


@dataclass(frozen=True, slots=True)
class Story:
    """One test, with its place and the rules that it is about."""

    test: Test
    file: TestFile
    rules: Path
    place: Place
    #: Where each of its expectations is written.
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The tests of all files that could be read, and what is wrong with the others."""

    stories: tuple[Story, ...]
    errors: tuple[Problem, ...]
    files: int


def find(path: Path) -> list[Path]:
    """The test files of a folder of rules, of a folder of tests, or the one file that is named."""
    if not path.is_dir():
        return [path]
    inside = FOLDER in path.resolve().parts
    found = [each for each in path.rglob("*") if each.is_file() and _is_test(each, path, inside=inside)]
    return sorted(found)


def _is_test(file: Path, top: Path, *, inside: bool) -> bool:
    folders = file.relative_to(top).parts[:-1]
    hidden = any(part.startswith(".") for part in (*folders, file.name))
    return file.suffix in (SUFFIX, _OVERLOOKED) and not hidden and (inside or FOLDER in folders)


def load(path: Path) -> Loaded:
    """Read every test below a path, and name all that is wrong with any."""
    findings, stories, files = Findings(), list[Story](), find(path)
    for file in files:
        stories += _load(file, findings)
    if not files:
        message = f"no tests here: write some in {path / FOLDER}, in files that end in {SUFFIX}"
        findings.errors.append(Problem(Place(str(path)), message))
    return Loaded(tuple(stories), tuple(sorted(findings.errors)), len(files))


def _load(file: Path, findings: Findings) -> list[Story]:
    if file.suffix == _OVERLOOKED:
        findings.errors.append(
            Problem(Place(str(file)), "not read, for its name ends in .yml: rename it to .yaml")
        )
        return []
    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8" if isinstance(error, OSError) else "not UTF-8"
        findings.errors.append(Problem(Place(str(file)), f"can't be read: {why}"))
        return []
    document = read(text)
    reporter = Reporter(str(file), document, findings)
    before = len(findings.errors)
    for each in document.complaints:
        findings.errors.append(Problem(Place(str(file), each.line, each.column), each.message))
    made = validate(TestFile, document.data, reporter).model if len(findings.errors) == before else None
    if made is None or len(findings.errors) > before:
        return []
    if not made.tests:
        reporter.error((), "no tests, so that it can't fail: write some below `tests:`")
        return []
    rules = Path(normpath(file.parent / made.rules)) if made.rules is not None else _rules_of(file)
    stories = [_story(made, index, rules, reporter) for index in range(len(made.tests))]
    _check_names(stories, document, reporter)
    return stories if len(findings.errors) == before else []


def _rules_of(file: Path) -> Path:
    """What holds the folder `tests` that a file is in."""
    parents = file.absolute().parents
    return next((each.parent for each in parents if each.name == FOLDER), file.parent)


def _story(file: TestFile, index: int, rules: Path, reporter: Reporter) -> Story:
    test, below = file.tests[index], reporter.below("tests", index)
    places = tuple(below.place(("expect", number)) for number in range(len(test.expect)))
    return Story(test, file, rules, below.place(("name",)), places)


def _check_names(stories: list[Story], document: Document, reporter: Reporter) -> None:
    """No name stands twice, and every rule that is named is one of the rules."""
    del document
    seen: set[str] = set()
    rulebook = _rulebook(stories[0], reporter)
    for index, story in enumerate(stories):
        below = reporter.below("tests", index)
        if story.test.name in seen:
            below.error(
                ("name",), f"another test is called {shown(story.test.name)} too: give it its own name"
            )
        seen.add(story.test.name)
        if not (story.test.alerts or story.test.people):
            below.error((), "nothing happens in it: write some `alerts`, or `people` who run a rule")
        if rulebook is not None:
            _check_rules(story.test, rulebook, below)


def _rulebook(story: Story, reporter: Reporter) -> Rulebook | None:
    source = FileRules(story.rules)
    try:
        return source.compile(source.read())
    except RulebookError as error:
        first, more = error.problems[0], len(error.problems) - 1
        also = f" (and {more} more, all of which `remediator check` names)" if more else ""
        message = f"its rules can't be used: {first}{also}"
        reporter.error(("rules",), message)
        return None


def _check_rules(test: Test, rulebook: Rulebook, below: Reporter) -> None:
    known = [rule.name for rule in rulebook.rules]
    contacts = [contact.name for contact in rulebook.contacts]
    for index, person in enumerate(test.people):
        for key, name in _rules_of_person(person):
            _check_known(name, known, "rule", below.below("people", index, key))
    for index, each in enumerate(test.expect):
        for key, name in _rules_of_expectation(each):
            _check_known(name, known, "rule", below.below("expect", index, key))
        if each.call is not None:
            _check_known(each.call, contacts, "contact", below.below("expect", index, "call"))


def _rules_of_person(person: Person) -> Iterator[tuple[str, str]]:
    for key in ("approve", "deny", "acknowledge", "run", "pause", "resume"):
        name = getattr(person, key)
        if name is not None and not (key in ("pause", "resume") and (name == "all" or "/" in name)):
            yield key, name


def _rules_of_expectation(each: Expectation) -> Iterator[tuple[str, str]]:
    for key in ("run", "page", "rule"):
        name = getattr(each, key)
        if name is not None and not (key == "page" and name == "brake"):
            yield key, name


def _check_known(name: str, known: list[str], what: str, reporter: Reporter) -> None:
    if name not in known:
        reporter.error((), f"unknown {what} {shown(name)}: {nearest(name, known)}")
