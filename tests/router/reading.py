"""Reads a statement as a router in front of many servers does: are all rows it touches of one tenant, in so many words?

A router sees the text, not the setting. So each tenants' table, wherever it stands, has to be held beside
`organization_id = <the tenant>` in the same part of the statement, and not only beside another table's column. What
Citus refuses or does wrong besides (github.com/citusdata/citus: policy.c, multi_router_planner.c) is named by a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pglast
from pglast import ast, enums

UNBOUND = "unbound"
INSERTED = "inserted for no literal tenant"
UNPAIRED = "INSERT … SELECT joins tenants' tables otherwise than by their organization"
UNRETURNED = "INSERT … SELECT returns nothing"
SIMPLE_CASE = "simple CASE in a change"
SELECT_IN_CASE = "sub-select in CASE or COALESCE of a change"
VOLATILE = "volatile function in a change"
RECKONED = "a moment is reckoned in a change, of a column or in CASE or COALESCE"
CONFLICT = "sub-select in DO UPDATE"
NULL_COMPARED = "compared with NULL"
PLANNED_AWAY = "asked only if something was given that was not"
LOCAL_CHANGED = "a table of the session's own is changed from a tenant's"
READ_BACK = "a part reads a table that one before it has written to"
HAVING = "sub-select in HAVING"
LOCKED_UNBOUND = "rows are locked of no one organization"
LOCKED_ON_ONE = "a row that every node has is locked on one of them"
LOCKED_BESIDE = "rows are locked in a part that joins another part to them"
BALANCE_FIRST = "the balance moves before its entry is written"
UNREADABLE = "not read"

VOLATILES = {"clock_timestamp", "random", "gen_random_uuid", "nextval", "setval", "timeofday"}
KEY = "organization_id"
_PLACES = re.compile(r"%\((\w+)\)s|%(s)|%(%)")
_CHANGES = (ast.UpdateStmt, ast.DeleteStmt, ast.InsertStmt)
_QUERIES = (ast.SelectStmt, *_CHANGES)
# Which test of a value that was not given decides the whole.
_SETTLES = {
    enums.BoolExprType.OR_EXPR: enums.NullTestType.IS_NULL,
    enums.BoolExprType.AND_EXPR: enums.NullTestType.IS_NOT_NULL,
}
# A sub-select in these is joined by the planner.
_JOINS = (enums.SubLinkType.ANY_SUBLINK, enums.SubLinkType.EXISTS_SUBLINK)


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
        reader.is_parted = any(isinstance(each, ast.InsertStmt) for each in _all(raw.stmt))
        reader.query(raw.stmt, frozenset())
        reader.changing(raw.stmt)
        found |= reader.found
    return found


class _Reader:
    def __init__(self, given: Sequence[Any], tenant: int | None, tables: set[str]) -> None:
        self.given, self.tenant, self.tables = given, tenant, tables
        self.found: set[str] = set()
        self.is_parted = False  # an INSERT has each part run by itself, and its rows handed on to the next

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
        if getattr(node, "lockingClause", None):
            if not self._locks_of_one(relations, conjuncts):
                self.found.add(LOCKED_UNBOUND)
            if "organizations" in relations.values() and self.tables.isdisjoint(relations.values()):
                self.found.add(LOCKED_ON_ONE)
        if any(isinstance(each, ast.SubLink) for each in _all(getattr(node, "havingClause", None))):
            self.found.add(HAVING)
        if isinstance(node, ast.InsertStmt):
            self._insert(node, known)
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
            if self.is_parted and not _read_by(each.ctequery, known | named).isdisjoint(written):
                self.found.add(READ_BACK)
            if self.is_parted and _locks_beside(each.ctequery, known | named):
                self.found.add(LOCKED_BESIDE)
            written += _written(each.ctequery)
        if self.is_parted and not _read_by(node, known | named).isdisjoint(written):
            self.found.add(READ_BACK)
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
            if isinstance(node, ast.BoolExpr) and self.tenant is not None and self._is_settled(node):
                self.found.add(PLANNED_AWAY)
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
            if any(self._is_of_nothing(each) for each in held[name]):
                self.found.add(NULL_COMPARED)

    def _locks_of_one(self, relations: dict[str, str], held: dict[str, list[Any]]) -> bool:
        """Whether each tenants' table is held to one organization; privileged work says which, or is refused."""
        return all(
            any(self._binds(each, name) for each in held[name])
            for name, table in relations.items()
            if table in self.tables
        )

    def _is_of_nothing(self, condition: Any) -> bool:
        """Whether a condition can hold no row, as what it asks for was not given: the table is planned away."""
        if not isinstance(condition, ast.A_Expr) or _operator(condition) not in ("=", "<>"):
            return False
        sides = [_uncast(side) for side in (condition.lexpr, condition.rexpr)]
        return any(isinstance(side, ast.ParamRef) and self.given[side.number - 1] is None for side in sides)

    def _is_settled(self, node: Any) -> bool:
        """Whether an OR or AND is known before its sub-selects are looked at: their tables are planned away."""
        what = _SETTLES.get(node.boolop)
        asked = (
            _uncast(each.arg) for each in node.args if isinstance(each, ast.NullTest) and each.nulltesttype == what
        )
        is_settled = any(isinstance(each, ast.ParamRef) and self.given[each.number - 1] is None for each in asked)
        return is_settled and any(
            isinstance(each, ast.RangeVar) and each.relname in self.tables for each in _all(node.args)
        )

    def _binds(self, condition: Any, name: str) -> bool:
        if not isinstance(condition, ast.A_Expr) or _operator(condition) != "=":
            return False
        sides = (condition.lexpr, condition.rexpr)
        return any(
            _column(one) in ((name, KEY), (KEY,)) and self._is_tenant(other) for one, other in (sides, sides[::-1])
        )

    def _is_tenant(self, node: Any) -> bool:
        node = _uncast(node)
        if isinstance(node, ast.ParamRef):
            value = self.given[node.number - 1]
        elif isinstance(node, ast.A_Const) and isinstance(node.val, ast.Integer):
            value = node.val.ival
        else:
            return False
        return value is not None if self.tenant is None else bool(getattr(value, "id", value) == self.tenant)

    def _is_reckoned(self, node: Any) -> bool:
        """Whether an interval is added where Citus does not reckon itself before it sends the change."""
        if isinstance(node, ast.CaseExpr | ast.CoalesceExpr):
            return any(self._has_interval(each) for each in _own(node))
        return self._has_interval(node) and any(isinstance(each, ast.ColumnRef) for each in _own(node))

    def _has_interval(self, node: Any) -> bool:
        if not isinstance(node, ast.A_Expr) or _operator(node) not in ("+", "-"):
            return False
        return any(
            (isinstance(side, ast.ParamRef) and isinstance(self.given[side.number - 1], timedelta))
            or (isinstance(side, ast.TypeCast) and side.typeName.names[-1].sval == "interval")
            for side in (node.lexpr, node.rexpr)
        )

    # -- what is written --------------------------------------------------------------------------------------------

    def _insert(self, node: Any, known: frozenset[str]) -> None:
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
        if isinstance(select, ast.SelectStmt) and self._is_unpaired(select, known):
            self.found.add(UNPAIRED)
        conflict = node.onConflictClause
        if conflict is not None and any(isinstance(each, ast.SubLink) for each in _all(conflict.targetList)):
            self.found.add(CONFLICT)

    def _is_unpaired(self, select: ast.SelectStmt, known: frozenset[str]) -> bool:
        """Whether it joins tenants' tables that only a constant says are of one, or one that may have no row.

        With ids given out that is planned as a join of any rows, and refused.
        """
        relations, held = self._sources(select, known)
        tenants = [name for name, table in relations.items() if table in self.tables]
        pairs = {
            frozenset(sides)
            for conditions in held.values()
            for each in conditions
            if isinstance(each, ast.A_Expr) and _operator(each) == "="
            for sides in [[_column(each.lexpr), _column(each.rexpr)]]
            if all(side[1:] == (KEY,) for side in sides)
        }
        is_outer = any(isinstance(each, ast.JoinExpr) and each.jointype for each in _own(select.fromClause))
        return len(tenants) > 1 and (is_outer or len(pairs) < len(tenants) - 1)

    def changing(self, node: Any) -> None:
        """What may stand nowhere in a statement that changes a tenant's table: all of it is reckoned before."""
        if not any(isinstance(each, _CHANGES) and each.relation.relname in self.tables for each in _all(node)):
            return
        if any(isinstance(each, ast.CaseExpr) and each.arg is not None for each in _all(node)):
            self.found.add(SIMPLE_CASE)

    def _change(self, node: Any, relations: dict[str, str]) -> None:
        changed = node.relation.relname
        if changed not in self.tables:
            if any(each in self.tables for each in relations.values()) and changed != "organizations":
                self.found.add(LOCAL_CHANGED)
            return
        if isinstance(node, ast.InsertStmt):
            return
        if any(self._is_reckoned(each) for each in _own([getattr(node, "targetList", None), node.whereClause])):
            self.found.add(RECKONED)
        for each in _all([getattr(node, name, None) for name in ("targetList", "whereClause", "fromClause")]):
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


def _own(node: Any) -> Iterator[Any]:
    """The node and every node within but for sub-selects, which are run before."""
    if isinstance(node, ast.Node):
        yield node
        if not isinstance(node, ast.SubLink):
            for child in _children(node):
                yield from _own(child)
    elif isinstance(node, tuple | list):
        for child in node:
            yield from _own(child)


def _conjuncts(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.BoolExpr) and node.boolop == enums.BoolExprType.AND_EXPR:
        for each in node.args:
            yield from _conjuncts(each)
    elif node is not None:
        yield node


def _operator(node: Any) -> str | None:
    return node.name[-1].sval if node.kind == enums.A_Expr_Kind.AEXPR_OP else None


def _compares_null(node: Any) -> bool:
    return any(isinstance(side, ast.A_Const) and side.isnull for side in map(_uncast, (node.lexpr, node.rexpr)))


def _uncast(node: Any) -> Any:
    while isinstance(node, ast.TypeCast):
        node = node.arg
    return node


def _column(node: Any) -> tuple[str, ...]:
    if not isinstance(node, ast.ColumnRef):
        return ()
    return tuple(part.sval for part in node.fields if isinstance(part, ast.String))


def _locks_beside(node: Any, known: frozenset[str]) -> bool:
    """Whether it locks rows and joins what another part gave to them."""
    return isinstance(node, ast.SelectStmt) and bool(node.lockingClause) and not known.isdisjoint(_joined(node))


def _read_by(node: Any, known: frozenset[str]) -> set[str]:
    """The tables that a part reads, but for that of which it changes rows that it finds by others."""
    target = node.relation if isinstance(node, _CHANGES) else None
    parts = [getattr(node, name) for name in node if name not in ("withClause", "relation")]
    return {
        each.relname
        for each in _all(parts)
        if isinstance(each, ast.RangeVar) and each.relname not in known and each is not target
    }


def _joined(node: ast.SelectStmt) -> Iterator[str]:
    """What a SELECT joins, also by IN and EXISTS."""
    yield from (each.relname for each in _all(node.fromClause) if isinstance(each, ast.RangeVar))
    for each in _conjuncts(node.whereClause):
        if isinstance(each, ast.SubLink) and each.subLinkType in _JOINS:
            yield from _joined(each.subselect)


def _written(node: Any) -> list[str]:
    return [node.relation.relname] if isinstance(node, _CHANGES) else []
