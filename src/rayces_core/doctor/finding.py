"""What the doctor looks for, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a database.

    Attributes:
        severity: "error" where tenants are not held, or the schema is not what the library relies on; "warning" where
            they are held by one wall fewer, or where work is left lying.
        check: stable code of the rule that is broken, such as "rls-not-forced".
        object: the table, view, function or role at fault, as SQL spells it.
        message: what is wrong.
        remedy: the SQL or the command that mends it.
    """

    severity: Severity
    check: str
    object: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Check:
    """A rule, as a query on the catalogue that gives one row for each fault.

    Attributes:
        code: what findings call it.
        severity: of its findings, unless the query gives a column `severity`.
        query: has a column `object`; it may name what `catalogue.FACTS` gathers.
        message, remedy: templates over the query's columns, and `app_role` and `admin_role`; or a function of them that
            gives the statements of the remedy.
    """

    code: str
    severity: Severity
    query: str
    message: str
    remedy: str | Callable[[Mapping[str, Any]], list[str]]

    def finding(self, row: Mapping[str, object], names: Mapping[str, str]) -> Finding:
        """The finding that a row of the query stands for."""
        facts = {**names, **row}
        severity: Severity = "warning" if facts.get("severity", self.severity) == "warning" else "error"
        spoken = self.message.format_map(facts)
        if isinstance(self.remedy, str):
            remedy = self.remedy.format_map(facts)
        else:
            remedy = " ".join(f"{statement};" for statement in self.remedy(facts))
        return Finding(severity, self.code, str(facts["object"]), spoken, remedy)
