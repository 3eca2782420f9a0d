"""People that a row refers to: by their e-mail address, or by their name where it is one person's alone.

Rule it guards: a name is the same but for case, accents and blanks, or nobody is found; where it is nobody's or
several people's, the row is refused with those who may be meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rayces_core.importing.record import fault, folded, quoted

MOST_LOOKED_UP: Final = 20  # names that are nobody's, whose likes are looked for among all people
MOST_SHOWN: Final = 3


@dataclass(frozen=True)
class People:
    """Rows of a table that have names.

    Attributes:
        noun: what one of them is called. rows: what gives them, as `u`. shown: an expression that tells one from the
            other; apart: what to do so in a source. more: an expression that is wanted of them, of the type kind.
        born: their date of birth. also: another expression that they are called by.
    """

    noun: str
    rows: str
    shown: str
    apart: str
    more: str
    kind: str = "varchar"
    born: str = "NULL::date"
    also: str = ""

    @property
    def keys(self) -> str:
        """SELECT of each with every key that they are known by."""
        first, last = "u.first_name", "u.last_name"
        natural, turned = f"concat_ws(' ', {first}, {last})", f"concat_ws(' ', {last}, {first})"
        more = f", ({folded(self.also)})" if self.also else ""
        return (
            f"SELECT u.id, {self.more} AS more, {self.born} AS born, key FROM {self.rows} "
            f"CROSS JOIN LATERAL (SELECT DISTINCT key FROM (VALUES ({folded(natural)}), ({folded(turned)}), "
            f"({folded(last, first)}){more}) AS each (key)) AS keys"
        )


_BY_MAIL: Final = "write the e-mail address of the one that is meant"
_SHOWN: Final = "concat_ws(' ', u.first_name, u.last_name) || ' (' || u.email || ')'"
# Who was merged is called as the one that stayed.
USERS: Final = People(
    "user",
    "(SELECT * FROM users WHERE organization_id = %(tenant)s AND merged_into_id IS NULL) AS u",
    _SHOWN,
    _BY_MAIL,
    more="u.email",
)
PROFESSIONALS: Final = People(
    "professional",
    "(SELECT u.*, p.title FROM users AS u JOIN professionals AS p ON p.organization_id = %(tenant)s "
    "AND p.user_id = u.id WHERE u.organization_id = %(tenant)s) AS u",
    _SHOWN,
    _BY_MAIL,
    more="u.email",
    also="concat_ws(' ', u.title, u.first_name, u.last_name)",
)
STUDENTS: Final = People(
    "student",
    "(SELECT * FROM students WHERE organization_id = %(tenant)s) AS u",
    "u.first_name || ' ' || u.last_name || coalesce(' (' || u.date_of_birth || ')', '')",
    "say the date of birth in student_date_of_birth",
    more="u.primary_contact_id",
    kind="bigint",
    born="u.date_of_birth",
)


def key_of(written: str) -> str:
    """An expression: the key of a name as a row has it, which has a comma after the last name or none."""
    last, first = f"split_part({written}, ',', 1)", f"split_part({written}, ',', 2)"
    return f"CASE WHEN strpos({written}, ',') > 0 THEN {folded(last, first)} ELSE {folded(written)} END"


def named(column: str, alias: str, people: People = USERS, born: str = "", unknown: str = "") -> str:
    """A join that finds who is called as a staged column says, where it has no e-mail address.

    It has `many`, how many are called so, and `id` and `more` where it is one. Those wanted and those there meet in one
    GROUP BY: a join of the two is a nested loop for hours where a table was not analyzed since it was filled.

    Args:
        born: a staged column of the date of birth, which tells two of one name apart. unknown: a name in `resolved`, to
            ask about the rows alone where that stayed empty.
    """
    day = f's2."{born}"' if born else "NULL::date"
    same_day = f'AND {alias}.born IS NOT DISTINCT FROM s."{born}"' if born else ""
    left = f"JOIN resolved AS r2 ON r2.row = s2.row AND r2.{unknown} IS NULL" if unknown else ""
    wanted, there = "FILTER (WHERE id IS NULL)", "FILTER (WHERE id IS NOT NULL)"
    return f"""LEFT JOIN (
        WITH wanted AS MATERIALIZED (
            SELECT written, born, {key_of("written")} AS key FROM (
                SELECT DISTINCT s2."{column}" AS written, {day} AS born FROM staged AS s2 {left}
                 WHERE s2."{column}" IS NOT NULL AND strpos(s2."{column}", '@') = 0
            ) AS s3
        ), keyed AS (
            SELECT key, written, born, NULL::bigint AS id, NULL::{people.kind} AS more, NULL::date AS theirs FROM wanted
             UNION ALL
            SELECT key, NULL, NULL, id, more, born
              FROM ({people.keys} WHERE EXISTS (SELECT 1 FROM wanted)) AS called
        ), met AS (
            SELECT array_agg(written) {wanted} AS names, array_agg(born) {wanted} AS days, array_agg(id) {there} AS ids,
                   array_agg(more) {there} AS mores, array_agg(theirs) {there} AS births
              FROM keyed GROUP BY key HAVING count(id) > 0 AND count(written) > 0
        )
        SELECT w.written, w.born, count(DISTINCT c.id) AS many,
               CASE WHEN count(DISTINCT c.id) = 1 THEN min(c.id) END AS id,
               CASE WHEN count(DISTINCT c.id) = 1 THEN min(c.more) END AS more
          FROM met CROSS JOIN LATERAL unnest(names, days) AS w (written, born)
          CROSS JOIN LATERAL unnest(ids, mores, births) AS c (id, more, born)
         WHERE w.born IS NULL OR c.born = w.born GROUP BY w.written, w.born
    ) AS {alias} ON {alias}.written = s."{column}" {same_day}"""


def nobody(column: str, joined: str, people: People = USERS, born: str = "") -> str:
    """A statement that notes the rows whose `column` is nobody's e-mail address or name, or several people's name.

    `joined` is the name in `resolved` that stayed empty; `born` as for `named`.
    """
    noun = people.noun
    first = f"correct it, or import the {noun}s first"
    return fault(
        column,
        f'r."{column}"',
        f"CASE WHEN r.by_mail THEN {quoted(f'no {noun} of this organization has this e-mail address')} "
        f"WHEN r.many > 1 THEN r.many || {quoted(f' {noun}s of this organization are called so')} "
        f"ELSE {quoted(f'no {noun} of this organization is called so')} END",
        f"CASE WHEN r.by_mail THEN {quoted(first)} "
        f"WHEN r.many > 1 THEN {quoted(f'{people.apart}: ')} || coalesce(r.likes, 'they are too many to name') "
        f"ELSE coalesce('write it as it is there: ' || r.likes, {quoted(first)}) END",
        f"""FROM (
            SELECT r.row, s."{column}", strpos(s."{column}", '@') > 0 AS by_mail, likes.likes, named.many
              FROM resolved AS r JOIN staged AS s ON s.row = r.row
              {named(column, "named", people, born, joined)}
              LEFT JOIN ({_likes(column, joined, people)}) AS likes ON likes.written = s."{column}"
             WHERE s."{column}" IS NOT NULL AND r.{joined} IS NULL
        ) AS r""",
    )


def _likes(column: str, joined: str, people: People) -> str:
    """SELECT of the first names that are not one person's, with those who may be meant."""
    words = "array(SELECT word FROM regexp_split_to_table({}, '[ ' || chr(31) || ']+') AS word WHERE length(word) > 2)"
    return f"""
        WITH refused AS MATERIALIZED (
            SELECT written, {key_of("written")} AS key FROM (
                SELECT DISTINCT s."{column}" AS written FROM resolved AS r JOIN staged AS s ON s.row = r.row
                 WHERE s."{column}" IS NOT NULL AND r.{joined} IS NULL AND strpos(s."{column}", '@') = 0
                 ORDER BY 1 LIMIT {MOST_LOOKED_UP}
            ) AS few
        ), called AS MATERIALIZED (
            SELECT shown, array_agg(key) AS keys, {words.format("min(key)")} AS words FROM (
                SELECT keyed.id, keyed.key, {people.shown} AS shown FROM ({people.keys}) AS keyed
                  JOIN {people.rows} ON u.id = keyed.id WHERE EXISTS (SELECT 1 FROM refused)
            ) AS each GROUP BY id, shown
        )
        SELECT refused.written, best.likes FROM refused CROSS JOIN LATERAL (
            SELECT string_agg(shown, ', ' ORDER BY same DESC, shown) AS likes FROM (
                SELECT shown, refused.key = ANY (called.keys) AS same FROM called
                 WHERE refused.key = ANY (called.keys) OR called.words && {words.format("refused.key")}
                 ORDER BY 2 DESC, 1 LIMIT {MOST_SHOWN}
            ) AS likes
        ) AS best"""
