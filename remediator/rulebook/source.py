"""Rule files from a file or folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from remediator.core.ids import RulebookHash
from remediator.core.ports.channels import RulebookError, RuleFiles
from remediator.core.rules import Rulebook
from remediator.core.selections import DEFAULT_HOME
from remediator.rulebook.compile import judge
from remediator.rulebook.document import MOST_CHARACTERS
from remediator.rulebook.problems import Place, Problem
from remediator.rulebook.upgrades import Format, UnknownVersion

SUFFIX = ".yaml"
_MISNAMED = ".yml"
_TESTS = "tests"
_MOST_BYTES = 4 * MOST_CHARACTERS

#: What can be seen of files without reading them, by name.
Looks = Mapping[str, object]


class UnreadableRules(RulebookError):
    """Rule files can't be read; ``found`` holds each problem with its place, its path as it was given."""

    def __init__(self, *found: Problem) -> None:
        super().__init__(tuple(map(str, found)))
        self.found = found


class FileRules:
    """A file, or a folder's ``*.yaml`` recursively.

    Folders named ``tests`` are left out, and so is what begins with a dot: a mounted ConfigMap keeps the
    same files once more in ``..data``. Links are followed, each folder once. ``home`` is the namespace that
    Remediator itself runs in.
    """

    def __init__(self, path: Path, home: str = DEFAULT_HOME) -> None:
        self._path = path
        self._home = home

    @property
    def name(self) -> str:
        """What the file or folder is called where it lies."""
        return self._path.name

    def read(self) -> RuleFiles:
        """Read the files as they are now; paths are relative to the folder, a lone file goes by its name.

        Raises:
            RulebookError: they can't be read; every problem is named at once.
        """
        texts: dict[str, str] = {}
        problems: list[Problem] = []
        for name, path in sorted(self._paths().items()):
            try:
                texts[name] = read_text(path)
            except OSError as error:
                problems.append(Problem(Place(str(path)), f"can't be read: {error.strerror or error}"))
            except UnicodeDecodeError as error:
                place = Place(str(path), *_position(error))
                problems.append(Problem(place, "not UTF-8: save the file as UTF-8"))
        if problems:
            raise UnreadableRules(*problems)
        return RuleFiles(texts, rulebook_hash(texts))

    def compile(self, files: RuleFiles) -> Rulebook:
        """As the port says; it looks at nothing but ``files``."""
        if rulebook_hash(files.texts) != files.hash:
            raise RulebookError(
                (f"the files of rulebook {files.hash[:12]} are not those that it was made of",)
            )
        judgement = judge(files, self._home)
        if judgement.rulebook is None:
            raise RulebookError(tuple(map(str, judgement.errors)))
        return judgement.rulebook

    def upgrade(self, form: Format) -> list[str]:
        """Rewrite the files that are of an older version of the format, each whole or not at all.

        Gives their names; those of a version that nobody knows are left alone.

        Raises:
            RulebookError: they can't be read.
        """
        rewritten = []
        for name, text in self.read().texts.items():
            with suppress(UnknownVersion):
                if (new := form.upgraded(text)) != text:
                    _write(self._paths()[name].resolve(), new)
                    rewritten.append(name)
        return rewritten

    def looks(self) -> Looks:
        """How the files look from outside: other as soon as one is written, replaced, added or gone.

        What links lead to counts, so that a folder that is swapped as a whole looks other, too.
        """
        try:
            return {name: _look(path) for name, path in self._paths().items()}
        except UnreadableRules as unreadable:
            return {"": str(unreadable)}

    def folders(self) -> set[Path]:
        """Where something happens when the files change: their folders, and those of links to them."""
        path = self._path.absolute()
        found = {each.parent for each in (path, *path.parents) if each.is_symlink()}
        if not path.is_dir():
            return {*found, path.parent, path.resolve().parent}
        with suppress(UnreadableRules):
            for folder, entries in _folders(path, set()):
                found.add(folder)
                found |= {Path(entry.path).resolve().parent for entry in entries if entry.is_symlink()}
        return found or {path}

    def misnamed(self) -> list[str]:
        """Files that look like rules but are not read, because their name ends in ``.yml``."""
        return sorted(_walk(self._path, _MISNAMED)) if self._path.is_dir() else []

    def tests(self) -> dict[str, str]:
        """The texts of the rules' tests, by path: each readable ``*.yaml`` in folders named ``tests``."""
        folders = [self._path.parent]  # a lone file's are beside it
        texts = {}
        with suppress(UnreadableRules):
            if self._path.is_dir():
                folders = [folder for folder, _ in _folders(self._path, set())]
            for each in (folder for folder in folders if (folder / _TESTS).is_dir()):
                for name, path in _walk(each / _TESTS, SUFFIX).items():
                    with suppress(OSError, UnicodeDecodeError):
                        texts[str(each / _TESTS / name)] = read_text(path)
        return texts

    def _paths(self) -> Mapping[str, Path]:
        try:
            if self._path.is_dir():
                return _walk(self._path, SUFFIX)
            self._path.stat()
        except (OSError, ValueError):
            message = "no such file or folder: name that of the rules in REMEDIATOR_RULES"
            raise UnreadableRules(Problem(Place(str(self._path)), message)) from None
        return {self._path.name: self._path}


def rulebook_hash(texts: Mapping[str, str]) -> RulebookHash:
    """SHA-256 over paths and texts, in order of path, each preceded by its length: none can pose as two."""
    digest = hashlib.sha256()
    for name in sorted(texts):
        for part in (name, texts[name]):
            content = part.encode(errors="surrogatepass")
            digest.update(b"%d:" % len(content) + content)
    return RulebookHash(digest.hexdigest())


def _walk(folder: Path, suffix: str) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in _files(folder) if path.suffix == suffix}


def _look(path: Path) -> tuple[int, int, int, int] | str:
    try:
        found = path.stat()
    except OSError as error:
        return error.strerror or repr(error)
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder that may hold rules; a folder that can't be listed raises UnreadableRules."""
    for _, entries in _folders(folder, set()):
        for entry in entries:
            if not entry.is_dir() and (entry.is_file() or entry.is_symlink()):
                yield Path(entry.path)


def _folders(folder: Path, seen: set[tuple[int, int]]) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """A folder and those below it that may hold rules, each with what is in it that may matter."""
    try:
        status = folder.stat()
        if (identity := (status.st_dev, status.st_ino)) in seen:
            return
        seen.add(identity)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        message = f"can't be listed: {error.strerror or error}"
        raise UnreadableRules(Problem(Place(str(folder)), message)) from None
    heard = [entry for entry in entries if not entry.name.startswith(".")]
    yield folder, heard
    for entry in heard:
        if entry.name != _TESTS and entry.is_dir():
            yield from _folders(Path(entry.path), seen)


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        OSError: it can't be read, or is too long.
        UnicodeDecodeError: it is not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(f"longer than {_MOST_BYTES} bytes")
    return content.decode("utf-8-sig")


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(text.encode())
    shutil.copymode(path, fresh)
    fresh.replace(path)


def _position(error: UnicodeDecodeError) -> tuple[int, int]:
    before = error.object[: error.start]
    line_start = before.rfind(b"\n") + 1
    return before.count(b"\n") + 1, len(before[line_start:].decode(errors="replace")) + 1
