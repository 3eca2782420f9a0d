"""The normal form of an e-mail address, as SQL: what this library's models make of it in Python.

Rule it guards: the server's own lower() is never asked alone. What it makes of INFO is a matter of the database's
locale (in a Turkish one a dotless i), and of UMLAUTS too (in C, nothing).
"""

from rayces_core.migrations.session import MigrationDatabase

# What str.strip() takes away; lower() of every one of these collations makes of a letter what str.lower() makes.
_ASCII_BLANKS = r"\u0009\u000a\u000b\u000c\u000d\u001c\u001d\u001e\u001f\u0020"
_OTHER_BLANKS = "".join(f"\\u{code:04x}" for code in range(0x80, 0x10000) if chr(code).isspace())
_COLLATIONS = ("pg_unicode_fast", "und-x-icu", "pg_c_utf8")
_KNOWN = """
SELECT collname::text FROM pg_collation
 WHERE collnamespace = 'pg_catalog'::regnamespace AND collname = ANY (%s)
   AND collencoding IN (-1, pg_char_to_encoding('UTF8'))
 ORDER BY array_position(%s::text[], collname::text) LIMIT 1
"""


def normal_address(database: MigrationDatabase, address: str = "email") -> str:
    """SQL that brings an address (SQL too) to its normal form: without blanks around it, in lower case.

    It never differs from lower(btrim()) of itself, in whatever locale, so that the rule of `users.email` holds for it.
    """
    in_unicode = database.one("SELECT getdatabaseencoding()") == "UTF8"
    known = database.one(_KNOWN, list(_COLLATIONS), list(_COLLATIONS)) if in_unicode else None
    collation = f'pg_catalog."{known or "C"}"'
    return f'lower(lower({trimmed_address(database, address)} COLLATE {collation}) COLLATE pg_catalog."default")'


def trimmed_address(database: MigrationDatabase, address: str = "email") -> str:
    """SQL that takes away what is blank around an address (SQL too), as `str.strip()` does."""
    in_unicode = database.one("SELECT getdatabaseencoding()") == "UTF8"
    return f"btrim({address}, E'{_ASCII_BLANKS}{_OTHER_BLANKS if in_unicode else ''}')"
