"""The database of the specification's Rails application, some thousand rows, and an answer to every finding."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
SCHEMA = (_HERE / "schema.sql").read_text()
ROWS = (_HERE / "rows.sql").read_text()
CHOICES = {
    "emails": "rename",
    "missing-emails": "placeholder",
    "orphans": "set-aside",
    "repeated-likes": "set-aside",
    "roles": "rails",
    "unknown-roles": "guardian",
    "missing-organization": "set-aside",
    "missing-author": "set-aside",
    "other-organizations": "set-aside",
    "other-tables": "aside",
    "subdomains": "rename",
    "blank-names": "placeholder",
    "unknown-values": "default",
    "numbers": "nearest",
    "shapes": "set-aside",
    "dates": "set-aside",
    "states": "begin",
    "moments": "derive",
    "starts": "whole-minute",
    "overlaps": "cancel",
    "missing-profiles": "make",
    "negative-balances": "zero",
    "repeated-balances": "add",
    "ledger": "opening",
    "entries": "adjustment",
    "payments": "keep-first",
    "owners": "balance",
}
