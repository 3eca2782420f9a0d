"""Whether a query that Peewee compiled may leave something on its connection.

A function of a host can do whatever a session can (a temporary table, a setting, a lock), and the library cannot look
into it. The functions of PostgreSQL that are named here do nothing of the kind.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_CALLED: Final = re.compile(r"""(?P<before>\binto\s+)?(?P<name>"(?:[^"]|"")*"|[^\W\d][\w$]*)\s*\(""", re.IGNORECASE)
# Comments may stand between a name and its parenthesis, and of a composite `(row).name` calls a function as well.
_HIDES: Final = re.compile(r"--|/\*|\)\s*\.\s*(?:\w|\")")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that come before a parenthesis and call nothing.
_WORDS: Final = _words(
    """
    all and any array as between by case cast check conflict cross cube default distinct do else end escape
    except exists extract filter first for from full grouping group having ilike in inner insert intersect
    interval into is join last lateral left like limit materialized natural not nulls offset on or order outer
    over partition recursive returning right rollup row rows select set sets similar some then to unique union
    update using values when where window with within work delete only key numeric decimal varchar char
    character timestamp time
    """
)
_HARMLESS: Final = _words(
    """
    abs age array_agg array_length array_position array_remove array_to_string avg bool_and bool_or btrim
    cardinality ceil ceiling char_length coalesce concat concat_ws corr count cume_dist current_date
    current_timestamp date date_bin date_part date_trunc dense_rank div every exp first_value floor format
    gen_random_uuid generate_series greatest initcap json_agg json_build_array json_build_object jsonb_agg
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_agg jsonb_object_keys
    jsonb_path_exists jsonb_path_query jsonb_set jsonb_typeof lag last_value lead least left length ln log
    lower lpad ltrim make_date make_interval make_timestamptz max md5 min mod mode now nth_value ntile nullif
    octet_length percent_rank percentile_cont percentile_disc plainto_tsquery position power random rank
    regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table repeat replace
    reverse right round row_number row_to_json rpad rtrim sign split_part sqrt stddev stddev_pop stddev_samp
    starts_with statement_timestamp string_agg string_to_array strpos substr substring sum timezone to_char
    to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector translate trim trunc ts_rank
    tstzrange unnest upper var_pop var_samp variance websearch_to_tsquery width_bucket
    """
)
_KNOWN: Final = _WORDS | _HARMLESS


CACHED_LENGTH: Final = 4000  # longer texts are bulk inserts, and each is new


def leaves_traces(sql: str) -> bool:
    """Whether it calls anything but the functions that are known to leave nothing."""
    return _cached(sql) if len(sql) <= CACHED_LENGTH else _look(sql)


def _look(sql: str) -> bool:
    return _HIDES.search(sql) is not None or any(
        not found["before"] and (found["name"].startswith('"') or found["name"].lower() not in _KNOWN)
        for found in _CALLED.finditer(sql)
    )


_cached = lru_cache(maxsize=4096)(_look)
