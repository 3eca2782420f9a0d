"""Reads a statement as a router in front of many servers does: are all rows it touches of one tenant, in so many words?

A router sees the text, not the setting. So each tenants' table, wherever it stands, has to be held beside
`organization_id = <the tenant>` in the same part of the statement, and not only beside another table's column. What
Citus refuses or does wrong besides (github.com/citusdata/citus: policy.c, multi_router_planner.c) is named by a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pglast
from pglast import ast, enums

UNBOUND = "unbound"
INSERTED = "inserted for no literal tenant"
UNRETURNED = "INSERT … SELECT returns nothing"
SIMPLE_CASE = "simple CASE in a change"
SELECT_IN_CASE = "sub-select in CASE or COALESCE of a change"
VOLATILE = "volatile function in a change"
CONFLICT = "sub-select in DO UPDATE"
NULL_COMPARED = "compared with NULL"
LOCAL_CHANGED = "a table of the session's own is changed from a tenant's"
BALANCE_FIRST = "the balance moves before its entry is written"
UNREADABLE = "not read"

VOLATILES = {"clock_timestamp", "random", "gen_random_uuid", "nextval", "setval", "timeofday"}
KEY = "organization_id"
_PLACES = re.compile(r"%\((\w+)\)s|%(s)|%(%)")
_CHANGES = (ast.UpdateStmt, ast.DeleteStmt, ast.InsertStmt)
_QUERIES = (ast.SelectStmt, *_CHANGES)


def numbered(sql: str, values: Any) -> tuple[str, list[Any]]:
    """The text with $1, $2 … for its places, and the value of each."""
    given: list[Any] = []
    names: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        if found[3]:
            return "%"
        if found[1] is None:
            given.append(values[len(given)])
            return f"${len(given)}"
        if found[1] not in names:
            given.append(values[found[1]])
            names[found[1]] = len(given)
        return f"${names[found[1]]}"

    if not values:
        return sql, given
    return _PLACES.sub(place, sql), given


def faults(sql: str, values: Any, tenant: int | None, tables: Mapping[str, object] | set[str]) -> set[str]:
    """What keeps the statements of a message from being sent to the one place of their tenant; none: nothing.

    Without a tenant (privileged work) only what is refused anywhere is told.
    """
    text, given = numbered(sql, values)
    try:
        parsed = pglast.parse_sql(text)
    except pglast.parser.ParseError:
        return {UNREADABLE}
    found: set[str] = set()
    for raw in parsed:
        reader = _Reader(given, tenant, set(tables))
        reader.query(raw.stmt, frozenset())
        found |= reader.found
    return found


class _Reader:
    def __init__(self, given: Sequence[Any], tenant: int | None, tables: set[str]) -> None:
        self.given, self.tenant, self.tables = given, tenant, tables
        self.found: set[str] = set()

    # -- whose rows -------------------------------------------------------------------------------------------------

    def query(self, node: Any, known: frozenset[str]) -> None:
        """One statement or sub-select; `known` are the names of common table expressions around it."""
        if not isinstance(node, _QUERIES):
            for child in _children(node):
                self._inside(child, known)
            return
        known = self._with(node, known)
        relations, conjuncts = self._sources(node, known)
        self._bound(relations, conjuncts)
        if isinstance(node, ast.InsertStmt):
            self._insert(node)
        if isinstance(node, _CHANGES):
            self._change(node, relations)
        for name in node:
            if name != "withClause":
                self._inside(getattr(node, name), known)

    def _with(self, node: Any, known: frozenset[str]) -> frozenset[str]:
        clause = node.withClause
        if clause is None:
            return known
        named = {each.ctename for each in clause.ctes}
        written: list[str] = []
        for each in clause.ctes:
            # A recursive one, or one that comes later, is not a table either.
            self.query(each.ctequery, known | named)
            written += _written(each.ctequery)
        written += _written(node)
        if {"credit_balances", "credit_transactions"} <= set(written) and written[-1] != "credit_balances":
            last = max(i for i, name in enumerate(written) if name == "credit_transactions")
            if written.index("credit_balances") < last:
                self.found.add(BALANCE_FIRST)
        return known | named

    def _inside(self, node: Any, known: frozenset[str]) -> None:
        """Every query that stands anywhere within."""
        if isinstance(node, _QUERIES):
            self.query(node, known)
        elif isinstance(node, ast.Node):
            if isinstance(node, ast.A_Expr) and _operator(node) in ("=", "<>") and _compares_null(node):
                self.found.add(NULL_COMPARED)
            for child in _children(node):
                self._inside(child, known)
        elif isinstance(node, tuple):
            for child in node:
                self._inside(child, known)

    def _sources(self, node: Any, known: frozenset[str]) -> tuple[dict[str, str], dict[str, list[Any]]]:
        """Tables of this part by the name they have in it, and for each (or "") the conditions that hold it."""
        relations: dict[str, str] = {}
        held: dict[str, list[Any]] = {}
        if isinstance(node, ast.SelectStmt):
            sources = node.fromClause or ()
        elif isinstance(node, ast.InsertStmt):
            return {}, {}
        else:
            further = node.fromClause if isinstance(node, ast.UpdateStmt) else node.usingClause
            sources = (node.relation, *(further or ()))
        everything = list(_conjuncts(getattr(node, "whereClause", None)))
        for source in sources:
            self._source(source, known, relations, held, everything)
        return relations, held

    def _source(
        self, node: Any, known: frozenset[str], relations: dict[str, str], held: dict[str, list[Any]], by: list[Any]
    ) -> None:
        if isinstance(node, ast.RangeVar):
            name = node.alias.aliasname if node.alias else node.relname
            if node.schemaname or node.relname not in known:
                relations[name] = node.relname
                held[name] = by
        elif isinstance(node, ast.JoinExpr):
            own = list(_conjuncts(node.quals))
            kind = node.jointype
            left = own if kind in (enums.JoinType.JOIN_INNER, enums.JoinType.JOIN_RIGHT) else []
            right = own if kind in (enums.JoinType.JOIN_INNER, enums.JoinType.JOIN_LEFT) else []
            self._source(node.larg, known, relations, held, by + left)
            self._source(node.rarg, known, relations, held, by + right)

    def _bound(self, relations: dict[str, str], held: dict[str, list[Any]]) -> None:
        tenants = [name for name, table in relations.items() if table in self.tables]
        if self.tenant is None:
            return
        for name in tenants:
            if not any(self._binds(each, name) for each in held[name]):
                self.found.add(f"{UNBOUND}: {relations[name]}")

    def _binds(self, condition: Any, name: str) -> bool:
        if not isinstance(condition, ast.A_Expr) or _operator(condition) != "=":
            return False
        sides = (condition.lexpr, condition.rexpr)
        return any(
            _column(one) in ((name, KEY), (KEY,)) and self._is_tenant(other) for one, other in (sides, sides[::-1])
        )

    def _is_tenant(self, node: Any) -> bool:
        while isinstance(node, ast.TypeCast):
            node = node.arg
        if isinstance(node, ast.ParamRef):
            value = self.given[node.number - 1]
        elif isinstance(node, ast.A_Const) and isinstance(node.val, ast.Integer):
            value = node.val.ival
        else:
            return False
        return bool(getattr(value, "id", value) == self.tenant)

    # -- what is written --------------------------------------------------------------------------------------------

    def _insert(self, node: Any) -> None:
        if node.relation.relname not in self.tables:
            return
        columns = [each.name for each in node.cols or ()]
        select = node.selectStmt
        if select is None or KEY not in columns:
            self.found.add(INSERTED)
            return
        at = columns.index(KEY)
        rows = select.valuesLists or ([each.val for each in select.targetList or ()],)
        if self.tenant is not None and not all(at < len(row) and self._is_tenant(row[at]) for row in rows):
            self.found.add(INSERTED)
        if not select.valuesLists and node.returningClause is None and node.onConflictClause is None:
            self.found.add(UNRETURNED)
        conflict = node.onConflictClause
        if conflict is not None and any(isinstance(each, ast.SubLink) for each in _all(conflict.targetList)):
            self.found.add(CONFLICT)

    def _change(self, node: Any, relations: dict[str, str]) -> None:
        changed = node.relation.relname
        if changed not in self.tables:
            if any(each in self.tables for each in relations.values()) and changed != "organizations":
                self.found.add(LOCAL_CHANGED)
            return
        if isinstance(node, ast.InsertStmt):
            return
        for each in _all([getattr(node, name, None) for name in ("targetList", "whereClause", "fromClause")]):
            if isinstance(each, ast.CaseExpr) and each.arg is not None:
                self.found.add(SIMPLE_CASE)
            if isinstance(each, ast.CaseExpr | ast.CoalesceExpr) and any(
                isinstance(inner, ast.SubLink) for inner in _all(each)
            ):
                self.found.add(SELECT_IN_CASE)
            if isinstance(each, ast.FuncCall) and each.funcname[-1].sval in VOLATILES:
                self.found.add(VOLATILE)


def _children(node: Any) -> Iterator[Any]:
    for name in node:
        yield getattr(node, name)


def _all(node: Any) -> Iterator[Any]:
    """The node and every node within."""
    if isinstance(node, ast.Node):
        yield node
        for child in _children(node):
            yield from _all(child)
    elif isinstance(node, tuple | list):
        for child in node:
            yield from _all(child)


def _conjuncts(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.BoolExpr) and node.boolop == enums.BoolExprType.AND_EXPR:
        for each in node.args:
            yield from _conjuncts(each)
    elif node is not None:
        yield node


def _operator(node: Any) -> str | None:
    return node.name[-1].sval if node.kind == enums.A_Expr_Kind.AEXPR_OP else None


def _compares_null(node: Any) -> bool:
    return any(isinstance(side, ast.A_Const) and side.isnull for side in (node.lexpr, node.rexpr))


def _column(node: Any) -> tuple[str, ...]:
    if not isinstance(node, ast.ColumnRef):
        return ()
    return tuple(part.sval for part in node.fields if isinstance(part, ast.String))


def _written(node: Any) -> list[str]:
    return [node.relation.relname] if isinstance(node, _CHANGES) else []
