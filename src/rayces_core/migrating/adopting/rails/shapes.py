"""JSON of the old application brought to the shapes of this library, and values that a cast may refuse.

Functions of the session, gone with it. Each gives `[what fits, whether anything did not]`, so that what is left out is
known and the row as it was can be kept.
"""

from __future__ import annotations

from collections.abc import Iterator

# A cast that gives NULL where the text is none; PostgreSQL has one of its own since 16 only.
_SAFE = """
CREATE OR REPLACE FUNCTION pg_temp.rayces_{name}(value text) RETURNS {type} LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
    RETURN value::{type};
EXCEPTION WHEN data_exception OR datetime_field_overflow OR invalid_text_representation THEN
    RETURN NULL;
END
$f$
"""
_TEXT = """
CREATE OR REPLACE FUNCTION pg_temp.rayces_text(value jsonb, longest int) RETURNS text LANGUAGE sql IMMUTABLE AS $f$
    SELECT CASE WHEN jsonb_typeof(value) IN ('string', 'number') AND btrim(value #>> '{}') <> ''
                 AND length(btrim(value #>> '{}')) <= longest THEN btrim(value #>> '{}') END
$f$
"""
_TIME = r"""
CREATE OR REPLACE FUNCTION pg_temp.rayces_time(value jsonb, is_end boolean) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $f$
DECLARE
    told text := CASE jsonb_typeof(value) WHEN 'string' THEN substring(btrim(value #>> '{}') FROM '^\d{1,2}:\d{2}') END;
BEGIN
    told := lpad(told, 5, '0');
    IF btrim(value #>> '{}') !~ '^\d{1,2}:\d{2}(:00)?$' THEN RETURN NULL; END IF;
    IF told ~ '^([01]\d|2[0-3]):[0-5]\d$' AND NOT (is_end AND told = '00:00') THEN RETURN told; END IF;
    RETURN CASE WHEN is_end AND told IN ('24:00', '00:00') THEN '24:00' END;
END
$f$
"""
# A day is a list of windows, or one window: {"monday": {"start": "09:00", "end": "17:00"}}.
_SCHEDULE = """
CREATE OR REPLACE FUNCTION pg_temp.rayces_schedule(value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $f$
DECLARE
    fits jsonb := '{}'; lost boolean := false; day record; shift record; windows jsonb; reached text; name text;
BEGIN
    IF value IS NULL OR value = 'null' THEN RETURN jsonb_build_array(fits, false); END IF;
    IF jsonb_typeof(value) <> 'object' THEN RETURN jsonb_build_array(fits, true); END IF;
    FOR day IN SELECT key, CASE jsonb_typeof(j.value) WHEN 'object' THEN jsonb_build_array(j.value)
                                                      ELSE j.value END AS told
                 FROM jsonb_each(value) AS j LOOP
        name := lower(btrim(day.key) COLLATE "C");
        IF fits ? name OR name NOT IN
            ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday') THEN
            lost := true;
            CONTINUE;
        END IF;
        CONTINUE WHEN day.told IN ('null', '[]', '[{}]');
        IF jsonb_typeof(day.told) <> 'array' OR jsonb_array_length(day.told) > 48 THEN
            lost := true;
            CONTINUE;
        END IF;
        windows := '[]'; reached := '';
        FOR shift IN SELECT pg_temp.rayces_time(w -> 'start', false) AS s, pg_temp.rayces_time(w -> 'end', true) AS e,
                            CASE jsonb_typeof(w) WHEN 'object' THEN w - 'start' - 'end' = '{}' ELSE false END AS plain
                       FROM jsonb_array_elements(day.told) AS w ORDER BY 1 LOOP
            IF shift.s IS NULL OR shift.e IS NULL OR NOT shift.plain OR shift.e <= shift.s OR shift.s < reached THEN
                lost := true;
                CONTINUE;
            END IF;
            windows := windows || jsonb_build_object('start', shift.s, 'end', shift.e);
            reached := shift.e;
        END LOOP;
        IF windows <> '[]' THEN fits := fits || jsonb_build_object(name, windows); END IF;
    END LOOP;
    RETURN jsonb_build_array(fits, lost);
END
$f$
"""
_DAY = r"""
CREATE OR REPLACE FUNCTION pg_temp.rayces_day(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $f$
    SELECT CASE WHEN jsonb_typeof(value) = 'string' AND value #>> '{}' ~ '^\d{4}-\d{2}-\d{2}$'
                 AND value #>> '{}' >= '0001-01-01' THEN pg_temp.rayces_date(value #>> '{}')::text END
$f$
"""
_BLOCKED = """
CREATE OR REPLACE FUNCTION pg_temp.rayces_blocked(value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $f$
DECLARE fits jsonb := '[]'; lost boolean := false; each record; kept int := 0;
BEGIN
    IF value IS NULL OR value = 'null' THEN RETURN jsonb_build_array(fits, false); END IF;
    IF jsonb_typeof(value) <> 'array' THEN RETURN jsonb_build_array(fits, value <> '{}'); END IF;
    FOR each IN SELECT coalesce(pg_temp.rayces_day(CASE WHEN plain THEN told ELSE told -> 'start' END),
                                pg_temp.rayces_day(told -> 'start_date')) AS s,
                       coalesce(pg_temp.rayces_day(CASE WHEN plain THEN told ELSE told -> 'end' END),
                                pg_temp.rayces_day(told -> 'end_date')) AS e,
                       pg_temp.rayces_text(told -> 'reason', 500) AS why,
                       plain OR CASE jsonb_typeof(told) WHEN 'object' THEN
                           told - 'start' - 'end' - 'start_date' - 'end_date' - 'reason' = '{}'
                           AND coalesce(length(told ->> 'reason'), 0) <= 500 ELSE false END AS known
                  FROM (SELECT w AS told, jsonb_typeof(w) = 'string' AS plain
                          FROM jsonb_array_elements(value) AS w) AS t
                 ORDER BY 1, 2 LOOP
        IF each.s IS NULL OR each.e IS NULL OR each.e < each.s OR NOT each.known OR kept >= 1000 THEN
            lost := true;
            CONTINUE;
        END IF;
        kept := kept + 1;
        fits := fits || jsonb_strip_nulls(jsonb_build_object('start', each.s, 'end', each.e, 'reason', each.why));
    END LOOP;
    RETURN jsonb_build_array(fits, lost);
END
$f$
"""
_CONTACTS = r"""
CREATE OR REPLACE FUNCTION pg_temp.rayces_contacts(value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $f$
DECLARE fits jsonb := '[]'; lost boolean := false; told jsonb; called text; bond text; phone text; mail text;
BEGIN
    IF value IS NULL OR value = 'null' THEN RETURN jsonb_build_array(fits, false); END IF;
    IF jsonb_typeof(value) <> 'array' THEN RETURN jsonb_build_array(fits, value <> '{}'); END IF;
    FOR told IN SELECT w FROM jsonb_array_elements(value) AS w LOOP
        called := pg_temp.rayces_text(told -> 'name', 200);
        bond := pg_temp.rayces_text(coalesce(told -> 'relationship', told -> 'relation'), 100);
        phone := pg_temp.rayces_text(told -> 'phone', 50);
        mail := lower(pg_temp.rayces_text(told -> 'email', 254) COLLATE "C");
        IF mail !~ '^[a-z0-9._%+-]+@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$' THEN
            mail := NULL;
        END IF;
        IF jsonb_typeof(told) <> 'object' OR called IS NULL OR bond IS NULL OR phone IS NULL
           OR jsonb_array_length(fits) >= 20 THEN
            lost := true;
            CONTINUE;
        END IF;
        fits := fits || jsonb_strip_nulls(
            jsonb_build_object('name', called, 'relationship', bond, 'phone', phone, 'email', mail));
        lost := lost OR told - 'name' - 'relationship' - 'relation' - 'phone' - 'email' <> '{}'
            OR (mail IS NULL AND coalesce(told ->> 'email', '') <> '');
    END LOOP;
    RETURN jsonb_build_array(fits, lost);
END
$f$
"""
# A document that is an address alone was put there at the latest when its student was last saved.
_DOCUMENTS = r"""
CREATE OR REPLACE FUNCTION pg_temp.rayces_documents(value jsonb, saved timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $f$
DECLARE
    fits jsonb := '{}'; lost boolean := false; each record; moment timestamptz; url text; kind text; name text;
    kept int := 0;
BEGIN
    IF value IS NULL OR value = 'null' THEN RETURN jsonb_build_array(fits, false); END IF;
    IF jsonb_typeof(value) <> 'object' THEN RETURN jsonb_build_array(fits, value <> '[]'); END IF;
    FOR each IN SELECT key, CASE jsonb_typeof(j.value) WHEN 'string' THEN jsonb_build_object('url', j.value)
                                                       ELSE j.value END AS told FROM jsonb_each(value) AS j LOOP
        name := btrim(each.key);
        url := btrim(each.told ->> 'url');
        kind := pg_temp.rayces_text(each.told -> 'kind', 100);
        moment := CASE WHEN jsonb_typeof(each.told -> 'uploaded_at') = 'string'
                        AND each.told ->> 'uploaded_at' ~ '^\d{4}-\d{2}-\d{2}T.+(Z|[+-]\d{2}:?\d{2})$'
                       THEN pg_temp.rayces_moment(each.told ->> 'uploaded_at')
                       WHEN NOT each.told ? 'uploaded_at' THEN saved END;
        IF jsonb_typeof(each.told) <> 'object' OR moment IS NULL OR url IS NULL OR length(url) > 2048
           OR url !~ '^[A-Za-z][A-Za-z0-9+.-]*://[!-~]+$' OR url ~* '^(javascript|vbscript):'
           OR kept >= 500 OR length(name) NOT BETWEEN 1 AND 200 OR fits ? name THEN
            lost := true;
            CONTINUE;
        END IF;
        kept := kept + 1;
        fits := fits || jsonb_build_object(name, jsonb_strip_nulls(jsonb_build_object(
            'url', url, 'kind', kind,
            'uploaded_at', to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))));
        lost := lost OR each.told - 'url' - 'uploaded_at' - 'kind' <> '{}'
            OR (kind IS NULL AND each.told ->> 'kind' IS NOT NULL);
    END LOOP;
    RETURN jsonb_build_array(fits, lost);
END
$f$
"""
_LIMITS = {
    "cancellation_notice_hours": (0, 720),
    "confirmation_hours": (1, 720),
    "booking_window_days": (1, 730),
    "minimum_notice_minutes": (0, 43_200),
    "correction_days": (0, 3660),
    "reminder_quiet_minutes": (0, 43_200),
    "start_every_minutes": (1, 720),
    "open_holds_per_client": (1, 1000),
    "future_sessions_per_client": (1, 10_000),
}
# A number may have come from a form as a text. A country is told by the time zone, so that one is left to it.
_SETTINGS = r"""
CREATE OR REPLACE FUNCTION pg_temp.rayces_settings(value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $f$
DECLARE fits jsonb; lost boolean := false; rule record; told text;
BEGIN
    IF value IS NULL OR value = 'null' THEN RETURN jsonb_build_array('{}'::jsonb, false); END IF;
    IF jsonb_typeof(value) <> 'object' THEN RETURN jsonb_build_array('{}'::jsonb, value <> '[]'); END IF;
    fits := value - ARRAY['country', 'notices'];
    FOR rule IN SELECT * FROM (VALUES {limits}) AS r (name, least, most) WHERE value ? r.name LOOP
        told := btrim(value ->> rule.name);
        CONTINUE WHEN told IS NULL AND rule.name IN
            ('start_every_minutes', 'open_holds_per_client', 'future_sessions_per_client');
        IF coalesce(told, '') !~ '^\d{1,6}$' OR told::int NOT BETWEEN rule.least AND rule.most THEN
            fits := fits - rule.name;
            lost := true;
        ELSE
            fits := fits || jsonb_build_object(rule.name, told::int);
        END IF;
    END LOOP;
    IF fits ? 'book_prospects' AND jsonb_typeof(fits -> 'book_prospects') <> 'boolean' THEN
        fits := fits - 'book_prospects';
        lost := true;
    END IF;
    RETURN jsonb_build_array(fits, lost OR value ?| ARRAY['country', 'notices']);
END
$f$
"""


def functions() -> Iterator[str]:
    """The statements that make them."""
    for name, kind in (("json", "jsonb"), ("inet", "inet"), ("date", "date"), ("moment", "timestamptz")):
        yield _SAFE.format(name=name, type=kind)
    limits = ", ".join(f"('{name}', {least}, {most})" for name, (least, most) in _LIMITS.items())
    yield from (_TEXT, _TIME, _SCHEDULE, _DAY, _BLOCKED, _CONTACTS, _DOCUMENTS)
    yield _SETTINGS.replace("{limits}", limits)
