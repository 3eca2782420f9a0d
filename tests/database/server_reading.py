"""What PostgreSQL's own parser reads in a text, and whether that steps out of the tenant: told by its tree alone."""

from __future__ import annotations

import pglast
from pglast import ast, enums
from pglast.visitors import Visitor

FUNCTIONS = {
    "set_config", "setseed", "loread", "lowrite", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock",
    "pg_advisory_unlock_all", "pg_advisory_unlock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
}  # fmt: skip
ALWAYS = (
    ast.TransactionStmt, ast.DiscardStmt, ast.ListenStmt, ast.UnlistenStmt, ast.LoadStmt, ast.PrepareStmt,
    ast.DeallocateStmt, ast.ExecuteStmt, ast.LockStmt, ast.SecLabelStmt, ast.AlterRoleStmt, ast.AlterRoleSetStmt,
    ast.AlterSystemStmt, ast.AlterDatabaseSetStmt, ast.DropOwnedStmt, ast.ReassignOwnedStmt,
    ast.AlterDefaultPrivilegesStmt,
)  # fmt: skip
HELD = {
    "role", "session_authorization", "row_security", "search_path", "seed", "standard_conforming_strings",
    "backslash_quote", "client_encoding", "session characteristics",
}  # fmt: skip
HOLD = 0x20  # CURSOR_OPT_HOLD


def dangers(sql: str) -> list[str]:
    """What in `sql` steps out of the tenant or stays on the connection.

    Raises:
        pglast.parser.ParseError: the server would refuse it before anything runs.
    """
    seen = _Seen()
    seen(pglast.parse_sql(sql))
    return seen.found


def kinds(sql: str) -> list[str]:
    """The kind of each statement, as the parser calls it."""
    return [type(raw.stmt).__name__ for raw in pglast.parse_sql(sql)]


class _Seen(Visitor):
    def __init__(self):
        super().__init__()
        self.found = []

    def visit(self, ancestors, node):
        if isinstance(node, ALWAYS):
            self.found.append(type(node).__name__)

    def visit_FuncCall(self, ancestors, node):
        *schema, name = (part.sval for part in node.funcname)
        if (name in FUNCTIONS or name.startswith("lo_")) and schema[-1:] in ([], ["pg_catalog"]):
            self.found.append(name)

    def visit_VariableSetStmt(self, ancestors, node):
        name = (node.name or "").lower()
        if node.kind in (enums.VariableSetKind.VAR_RESET, enums.VariableSetKind.VAR_RESET_ALL):
            self.found.append("RESET")
        elif name == "transaction":
            return
        elif not node.is_local or name in HELD or name.startswith("rayces."):
            self.found.append(f"SET {name}")

    def visit_RangeVar(self, ancestors, node):
        if (node.schemaname or "").startswith("pg_temp"):
            self.found.append(node.schemaname)

    def visit_CreateStmt(self, ancestors, node):
        self._made(node.relation, node.oncommit)

    def visit_IntoClause(self, ancestors, node):
        self._made(node.rel, node.onCommit)

    def visit_ViewStmt(self, ancestors, node):
        self._made(node.view, None)

    def visit_CreateSeqStmt(self, ancestors, node):
        self._made(node.sequence, None)

    def _made(self, relation, on_commit):
        if relation.relpersistence == "t" and on_commit != enums.OnCommitAction.ONCOMMIT_DROP:
            self.found.append("temporary")

    def visit_UpdateStmt(self, ancestors, node):
        self._written(node)

    visit_InsertStmt = visit_MergeStmt = visit_UpdateStmt

    def _written(self, node):
        if node.relation.relname == "pg_settings":
            self.found.append("pg_settings")

    def visit_DeclareCursorStmt(self, ancestors, node):
        if node.options & HOLD:
            self.found.append("WITH HOLD")

    def visit_CopyStmt(self, ancestors, node):
        if node.filename or node.is_program:
            self.found.append("COPY")

    def visit_CommentStmt(self, ancestors, node):
        if node.objtype == enums.ObjectType.OBJECT_LARGEOBJECT:
            self.found.append("LARGE OBJECT")

    visit_GrantStmt = visit_CommentStmt

    def visit_AlterOwnerStmt(self, ancestors, node):
        if node.objectType == enums.ObjectType.OBJECT_LARGEOBJECT:
            self.found.append("LARGE OBJECT")
