"""Where the golden rule files are, and how they are judged."""

from __future__ import annotations

from pathlib import Path

from remediator.core.ports.channels import RuleFiles
from remediator.rulebook.compile import Judgement, judge
from remediator.rulebook.source import FileRules, rulebook_hash

RULES = Path(__file__).parents[2] / "data" / "rules"


def cases(folder: str) -> list[Path]:
    """The golden files and folders: each has its findings beside it, as ``NAME.txt``."""
    return sorted(path for path in (RULES / folder).iterdir() if path.suffix != ".txt")


def found(judgement: Judgement) -> str:
    """Errors, then warnings, a line each."""
    lines = [*map(str, judgement.errors), *(f"warning: {warning}" for warning in judgement.warnings)]
    return "".join(f"{line}\n" for line in lines)


def judged(path: Path) -> Judgement:
    return judge(FileRules(path).read())


def of_text(text: str, name: str = "rules.yaml") -> Judgement:
    texts = {name: text}
    return judge(RuleFiles(texts, rulebook_hash(texts)))
