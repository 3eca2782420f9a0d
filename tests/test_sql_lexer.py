"""The lexer reads what PostgreSQL's reads: pglast is the server's own scanner and parser."""

import pglast
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pglast.parser import ParseError, scan

from rayces_core import sql_lexer
from rayces_core.errors import UnsafeSQLError
from tests.database import server_reading, spellings
from tests.sizes import examples
from tests.walking import walked

PIECES = [
    "'", "''", '"', '""', "E'", "e'", "U&'", 'U&"', 'u&"', "B'", "x'", "N'", "\\", "\\'", "$$", "$a$", "$a", "$",
    "a$b$", "$1", "$é$", "/*", "*/", "/", "*", "--", "\n", "\r", " ", "\t", "\f", "\v", "+", "-", "<", ">", "=", "@",
    "%", "|", "!", "#", "^", "~", "&", "`", "?", ":", "::", ":=", "..", ".", ",", ";", "(", ")", "[", "]", "select",
    "set", "E", "U&", "1", "1.5", ".5", "1e5", "0x1F", "1_0", "0b1", "0o7", "é", "\u017f", "\u2028", "\xa0",
    "uescape", "'!'", "{", "x", "_", "e", "'\n'", "' -- '\n '", "/* /* */ ' */", "E'\\''",
]  # fmt: skip


@examples(20, 300)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("select a$b$; set role x; select c$b$")
@example("/* /* */ ' */ set local role x; --'")
@example("-- '\rset local role x --'")
@example("E'\\'' -- '\n'\\''")
@example("B'1''2'")
@example("+-*/**/-+@-+--")
@example("1..2")
def test_tokens_begin_and_end_where_the_server_sees_them_do(sql):
    try:
        theirs = [(token.start, token.end + 1) for token in scan(sql)]
    except ParseError:
        assume(False)
    ours = list(sql_lexer.tokens(sql))
    # What is refused as glued to a psycopg2 placeholder is cut otherwise; the server sees no placeholder.
    assume(not any(kind == "glued" and sql[start:end] != "$" for kind, start, end in ours))
    assert [(start, end) for _, start, end in ours] == theirs


@examples(12, 150)
@given(st.text(alphabet="aZé_\"\\0!+'$ 41;", min_size=1, max_size=8), st.sampled_from(["", "uescape '!'"]))
@example('a""b', "")
@example("\\0041\\+000042", "")
@example("!0041", "uescape '!'")
@example("s\\0065t", "uescape '!'")
def test_a_quoted_name_is_decoded_to_what_it_means(text, uescape):
    sql = f'select U&"{text}" {uescape}'
    try:
        [raw] = pglast.parse_sql(sql)
        [target] = raw.stmt.targetList
        [field] = target.val.fields
    except (ParseError, ValueError, AttributeError, TypeError):
        assume(False)
    assume(target.name is None)  # else it is two names, the second one the first's alias
    assert sql_lexer.read(sql) == ["select", '"' + field.sval]


@examples(12, 100)
@given(st.text(alphabet="abzAZéK\u017f\u0130_$09", min_size=1, max_size=8))
def test_a_word_is_folded_as_the_server_folds_it(text):
    try:
        [raw] = pglast.parse_sql(f"select {text}")
        [field] = raw.stmt.targetList[0].val.fields
        assume(raw.stmt.targetList[0].name is None)
    except (ParseError, AttributeError):
        assume(False)
    assert sql_lexer.read(text) == [field.sval]


STATEMENTS = {
    "select ? , ?": "SelectStmt",
    "select <x> from <y>": "SelectStmt",
    "commit": "TransactionStmt",
    "start transaction": "TransactionStmt",
    "set local <role> to <x>": "VariableSetStmt",
    "do $$begin;end$$": "DoStmt",
    "call <f> ( ? )": "CallStmt",
    "insert into <t> values ( ? ), ( ? )": "InsertStmt",
    "update <t> set <a> = ?": "UpdateStmt",
    "lock table <t>": "LockStmt",
    "create temp table <t> ( <a> int )": "CreateStmt",
    "declare <c> cursor with hold for select ?": "DeclareCursorStmt",
}


@st.composite
def scripts(draw):
    chosen = draw(st.lists(st.sampled_from(sorted(STATEMENTS)), max_size=4))
    ends = [";", ";;", "; /* ; */ ;", ";-- ;\r;", " ; \n"]
    texts = [draw(spellings.written(pattern)) + draw(st.sampled_from(ends)) for pattern in chosen]
    return "".join(draw(st.sampled_from(["", *spellings.GAPS])) + text for text in texts), chosen


@examples(12, 120)
@given(scripts())
def test_it_sees_as_many_statements_of_the_same_kinds(script):
    sql, chosen = script
    try:
        kinds = server_reading.kinds(sql)
    except ParseError:
        assume(False)
    assert [STATEMENTS[pattern] for pattern in chosen] == kinds
    assert [words[0] for words in sql_lexer.statements(sql)] == [pattern.split(" ")[0] for pattern in chosen]


@walked(
    "sql", ["select 'a", 'select "a', "select E'a\\'", "/* a /* b */", "$$ a", "select $x$ a $y$", 'U&"a', "B'1", "U&'"]
)
def test_what_is_never_closed_is_refused_with_its_place(sql):
    with pytest.raises(ParseError):
        pglast.parse_sql(sql)
    with pytest.raises(UnsafeSQLError, match=r"at character \d+ of the SQL is never closed"):
        sql_lexer.read(sql)


@walked(
    "sql",
    [
        "select $a%s$ ' $a%s$; set role x; select $a%s$ ' $a%s$",
        "select e%s",
        "select E%(name)s",
        "select %s$$ ' $$; commit; $$ ' $$",
        "select 1 ||%%%s$$ ' $$",
        "select %sE'\\'; commit; --'",
        "select %(it's)s; commit; --'",
        "select E'a' %s",
        "select E'a' -- so\n %(v)s",
        "select %s1$$ ; $$",
    ],
)
def test_a_placeholder_that_would_run_together_with_its_neighbour_is_refused(sql):
    with pytest.raises(UnsafeSQLError, match="run together with a placeholder"):
        sql_lexer.read(sql)


@walked(
    "sql",
    [
        "select 10 %% 3, %s::text, %(name)s, x%%y",
        "select a %s from t",
        "insert into t values (%s,%s),(%(a)s,%(b c)s)",
        "select '%s', 'it''s %s' || %s, E'%s'",
        "select date'2024-01-01', e'x', %s+1, -%s, %s-%s, date%s",
        "select E'a' || %s, E'a', %s",
        'select "a%sb", %s',
    ],
)
def test_a_placeholder_by_itself_is_read(sql):
    assert sql_lexer.read(sql)


def test_constants_of_a_long_list_are_read_as_one():
    assert sql_lexer.read("values (1, 'a;b', .5,\n'c'), (2, 'd')") == [
        "values", "(", "1, 'a;b', .5,\n", "'c'", ")", ",", "(", "2, ", "'d'", ")",
    ]  # fmt: skip
    assert list(sql_lexer.strings("1, 'a;b', 'c''d', ")) == ["a;b", "c'd"]


@pytest.mark.slow
def test_a_long_text_of_anything_is_read_in_time_that_grows_with_its_length():
    for piece in ["+", "%", "'a'\n--\n", "(", "- ", "1_", "$a$ $a$ ", "/**/", "e", "%(", "--\n", " ", "@-", "''", ";"]:
        assert list(sql_lexer.tokens("select 1 " + piece * 5_000)), piece
