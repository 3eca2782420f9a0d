"""What stands between a MyHub and its adoption, and what may be chosen to be done about it.

Rule it guards: nothing is changed before every finding is answered, and no answer loses a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from rayces_core.errors import MigrationError

Severity = Literal["refusal", "choice", "note"]

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")

# Kind of finding → what may be chosen for it.
CHOICES: dict[str, tuple[str, ...]] = {
    "emails": ("rename", "merge"),
    "email-spelling": ("lower-case", "any-case"),
    "missing-emails": ("placeholder",),
    "orphans": ("set-aside",),
    "repeated-likes": ("set-aside",),
    "foreign-keys": ("complete",),
    "foreign-key-actions": ("cascade",),
    "nullable-references": ("not-null",),
    "timestamp-indexes": ("rebuild",),
    "missing-author": ("<e-mail>", "nullable", "set-aside"),
    "required-columns": ("nullable", "default"),
    "short-columns": ("widen", "keep"),
    "defaults": ("drop",),
    "rules": ("drop", "keep"),
    "unique-indexes": ("per-organization", "at-finish"),
    "nullable-times": ("not-null",),
    "names": ("rename",),
    # Of a rayces Rails database.
    "roles": ("rails", "same"),
    "unknown-roles": ("guardian",),
    "missing-organization": ("set-aside", "new"),
    "other-organizations": ("set-aside",),
    "other-tables": ("aside",),
    "subdomains": ("rename",),
    "blank-names": ("placeholder",),
    "unknown-values": ("default",),
    "numbers": ("nearest",),
    "shapes": ("set-aside",),
    "dates": ("set-aside",),
    "states": ("begin", "set-aside"),
    "moments": ("derive",),
    "starts": ("whole-minute",),
    "overlaps": ("cancel", "set-aside"),
    "missing-profiles": ("make", "set-aside"),
    "negative-balances": ("zero",),
    "repeated-balances": ("add",),
    "ledger": ("opening",),
    "entries": ("adjustment",),
    "payments": ("keep-first",),
    "owners": ("balance",),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: its name, as `--fix KIND=CHOICE` takes it where there is a choice.
        severity: refusal (change it yourself), choice (say what shall be done) or note (to be known).
        what: what was found, in words. count: how many rows or objects. examples: ids of some of the rows.
        advice: what to do. chosen: the choice made for it, or None.
    """

    kind: str
    severity: Severity
    what: str
    advice: str
    count: int = 1
    examples: tuple[int, ...] = ()
    chosen: str | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """What may be chosen."""
        return CHOICES.get(self.kind, ())

    @property
    def is_open(self) -> bool:
        """Whether it stands in the way."""
        return self.severity == "refusal" or (self.severity == "choice" and self.chosen is None)

    def __str__(self) -> str:
        ids = f" (ids {', '.join(map(str, self.examples))})" if self.examples else ""
        return f"{self.kind}: {self.what}{ids}; {self.advice}"


@dataclass(frozen=True, slots=True)
class Report:
    """What `Adoption.report()` found; `stage` is None on a MyHub that nobody has begun to adopt."""

    stage: str | None
    findings: tuple[Finding, ...]

    @property
    def open(self) -> tuple[Finding, ...]:
        """The findings that stand in the way."""
        return tuple(finding for finding in self.findings if finding.is_open)


def choice(kind: str, what: str, does: str, **facts: object) -> Finding:
    """A finding that waits for a choice."""
    words = " or ".join(f"--fix {kind}={word}" for word in CHOICES[kind])
    return replace(Finding(kind, "choice", what, f"{does}: {words}"), **facts)  # type: ignore[arg-type]


def answered(findings: Iterable[Finding], choices: Mapping[str, str]) -> tuple[Finding, ...]:
    """The findings with what was chosen for them."""
    return tuple(
        replace(finding, chosen=choices.get(finding.kind)) if finding.severity == "choice" else finding
        for finding in findings
    )


def is_choice(kind: str, word: str) -> bool:
    """Whether this may be chosen; an e-mail address where one is asked for."""
    words = CHOICES.get(kind, ())
    return word in words or ("<e-mail>" in words and _ADDRESS.fullmatch(word) is not None)


def checked_choices(choices: Mapping[str, str]) -> dict[str, str]:
    """The choices; raises MigrationError for a kind or a choice that does not exist."""
    for kind, word in choices.items():
        if not is_choice(kind, word):
            known = ", ".join(f"{name}={'|'.join(words)}" for name, words in CHOICES.items())
            raise MigrationError(f"there is no choice {kind}={word}; there are {known}")
    return dict(choices)


def refuse_open(
    findings: Iterable[Finding], why: str = "this MyHub cannot be adopted as it is; nothing was changed"
) -> None:
    """Raise MigrationError saying why and listing the findings that stand in the way, if there are any."""
    standing = [finding for finding in findings if finding.is_open]
    if standing:
        lines = "".join(f"\n  {finding}" for finding in standing)
        raise MigrationError(f"{why}:{lines}")
