"""The SQL of invoices: what is due to be invoiced, and what issuing writes. One text lists and books.

A source is a session or a purchase. Its lines take turns: invoiced (1), credited (2), invoiced again (3), so whatever
has an odd last turn is invoiced.
"""

from __future__ import annotations

from typing import Final

from rayces_core.tenancy.organization import day_begins

_BEGINS: Final = day_begins("whose.starts_on", "whose.time_zone")
_ENDS: Final = day_begins("whose.ends_on + 1", "whose.time_zone")
_TURN: Final = """coalesce((
        SELECT max(line.turn) FROM invoice_lines AS line
         WHERE line.organization_id = %(organization_id)s AND line.source_key = {key}), 0)"""
_SESSIONS: Final = f"""
SELECT session.id AS appointment_id, NULL::bigint AS credit_transaction_id,
       (session.scheduled_at AT TIME ZONE whose.time_zone)::date AS happened_on,
       concat_ws(' · ', coalesce(service.name, CASE WHEN whose.language = 'es' THEN 'Sesión' ELSE 'Session' END),
                 student.first_name || ' ' || student.last_name) AS description,
       1 AS quantity, session.price_cents::bigint AS unit_cents,
       coalesce(service.tax_basis_points, whose.rate) AS tax_basis_points, NULL::bigint AS billed,
       {_TURN.format(key="session.id")} AS turns
  FROM whose
  JOIN appointments AS session
       ON session.organization_id = %(organization_id)s AND session.client_id = whose.user_id
  JOIN students AS student ON student.organization_id = %(organization_id)s AND student.id = session.student_id
  LEFT JOIN services AS service ON service.organization_id = %(organization_id)s AND service.id = session.service_id
 WHERE whose.kind = 'invoice' AND session.state = 'executed' AND NOT session.uses_credit
   AND session.price_cents > 0 AND session.currency = whose.currency
   AND session.scheduled_at >= {_BEGINS}
   AND session.scheduled_at < {_ENDS}"""
# How many credits of a purchase went back, as its payment did.
TAKEN_BACK: Final = """coalesce((
        SELECT -sum(back.amount) FROM credit_transactions AS back
         WHERE back.organization_id = %(organization_id)s AND back.takes_back_balance_id = {entry}.credit_balance_id
           AND back.takes_back_sequence = {entry}.sequence AND back.status = 'completed'), 0)"""
# What it costs as far as it was not taken back, rounded half up.
LEFT_CENTS: Final = (
    f"round(({{entry}}.amount - {TAKEN_BACK}) * {{entry}}.amount_cents::numeric / {{entry}}.amount)::bigint"
)
# What was bought as a duplicate is the person's; entries stay with whom they were posted to.
# A package is called as it was sold. A purchase of plain credits is so many at a price each, where that comes out even.
_PURCHASES: Final = f"""
SELECT NULL::bigint, entry.id, (entry.processed_at AT TIME ZONE whose.time_zone)::date,
       concat_ws(' · ', coalesce(entry.package_name, package.name,
                                 CASE WHEN whose.language = 'es' THEN 'Créditos' ELSE 'Credits' END), kind.name),
       CASE WHEN singly THEN left_cents * entry.amount / entry.amount_cents ELSE 1 END,
       CASE WHEN singly THEN entry.amount_cents / entry.amount ELSE left_cents END,
       coalesce(package.tax_basis_points, whose.rate), NULL::bigint,
       {_TURN.format(key="-entry.id")}
  FROM whose
  JOIN users AS buyer ON buyer.organization_id = %(organization_id)s
       AND (buyer.id = whose.user_id OR buyer.merged_into_id = whose.user_id)
  JOIN credit_transactions AS entry
       ON entry.organization_id = %(organization_id)s AND entry.user_id = buyer.id
  LEFT JOIN credit_packages AS package
       ON package.organization_id = %(organization_id)s AND package.id = entry.credit_package_id
  LEFT JOIN credit_kinds AS kind ON kind.organization_id = %(organization_id)s AND kind.id = entry.credit_kind_id
  CROSS JOIN LATERAL (
       SELECT entry.credit_package_id IS NULL AND entry.amount_cents %% entry.amount = 0 AS singly,
              {LEFT_CENTS.format(entry="entry")} AS left_cents) AS counted
 WHERE whose.kind = 'invoice' AND entry.transaction_type = 'purchase' AND entry.status = 'completed'
   AND left_cents > 0 AND entry.currency = whose.currency
   AND entry.processed_at >= {_BEGINS}
   AND entry.processed_at < {_ENDS}"""
_CORRECTED: Final = f"""
SELECT line.appointment_id, line.credit_transaction_id, line.happened_on, line.description, line.quantity,
       line.unit_cents, line.tax_basis_points, line.tax_cents, line.turn
  FROM whose
  JOIN invoices AS corrected
       ON corrected.organization_id = %(organization_id)s AND corrected.kind = 'invoice'
      AND corrected.series = whose.corrects_series AND corrected.number = whose.corrects_number
  JOIN invoice_lines AS line
       ON line.organization_id = %(organization_id)s AND line.invoice_id = corrected.id
 WHERE whose.kind = 'credit_note'
   AND (whose.positions = '[]' OR whose.positions @> to_jsonb(line.position))
   AND line.turn = {_TURN.replace(" AS line", " AS later").replace("line.", "later.").format(key="line.source_key")}"""
# Prices are what is paid, so they have the tax in them. It is rounded half up once for each rate of an invoice: that of
# a line is by how much it raises the tax of the lines of its rate. What is credited is what was billed.
_TAX: Final = "(2 * ({}) * tax_basis_points + 10000 + tax_basis_points) / (2 * (10000 + tax_basis_points))"
DRAWN: Final = f"""
source AS ({_SESSIONS}
UNION ALL {_PURCHASES}
UNION ALL {_CORRECTED}
), priced AS (
SELECT source.*, quantity * unit_cents AS total_cents
  FROM source, whose WHERE (turns %% 2 = 0) = (whose.kind = 'invoice')
), rated AS (
SELECT *, row_number() OVER rate AS rate_position, (sum(total_cents) OVER rate)::bigint AS rate_after FROM priced
WINDOW rate AS (PARTITION BY tax_basis_points ORDER BY happened_on, appointment_id, credit_transaction_id)
), taxed AS (
SELECT *, coalesce(billed, {_TAX.format("rate_after")} - {_TAX.format("rate_after - total_cents")}) AS tax_cents
  FROM rated
), drawn AS (
SELECT *, row_number() OVER lines AS position, count(*) OVER () AS line_count,
       (sum(total_cents - tax_cents) OVER lines)::bigint AS net_after,
       (sum(tax_cents) OVER lines)::bigint AS tax_after
  FROM taxed
WINDOW lines AS (ORDER BY happened_on, appointment_id, credit_transaction_id)
)"""
# What a draft would have, before there is one.
WHOSE_PERIOD: Final = """
whose AS (
SELECT 'invoice' AS kind, coalesce(asked.merged_into_id, asked.id) AS user_id,
       %(language)s::text AS language, %(currency)s::text AS currency,
       %(starts_on)s::date AS starts_on, %(ends_on)s::date AS ends_on, root.time_zone, ''::text AS corrects_series,
       0::bigint AS corrects_number, '[]'::jsonb AS positions,
       coalesce((root.settings ->> 'tax_basis_points')::integer, 0) AS rate
  FROM organizations AS root
  JOIN users AS asked ON asked.organization_id = %(organization_id)s AND asked.id = %(user)s
 WHERE root.id = %(organization_id)s
)"""
_SERIES: Final = "coalesce(root.settings ->> (draft.kind || '_series'), '')"
WHOSE_DRAFT: Final = f"""
whose AS (
SELECT draft.kind, payer.id AS user_id, draft.language, draft.currency, draft.starts_on, draft.ends_on, root.time_zone,
       draft.corrects_series, draft.corrects_number, draft.positions,
       coalesce((root.settings ->> 'tax_basis_points')::integer, 0) AS rate, {_SERIES} AS series,
       (%(now)s::timestamptz AT TIME ZONE root.time_zone)::date AS today,
       coalesce((root.settings ->> 'invoice_due_days')::integer, 0) AS due_days,
       jsonb_strip_nulls(jsonb_build_object(
           'name', root.name, 'tax_id', root.settings ->> 'tax_id', 'address', root.address, 'email', root.email,
           'phone', root.phone)) AS biller,
       CASE WHEN payer.erased_at IS NULL THEN jsonb_strip_nulls(jsonb_build_object(
           'name', coalesce(nullif(btrim(concat_ws(' ', payer.first_name, payer.last_name)), ''), payer.email),
           'email', payer.email, 'phone', payer.phone)) ELSE '{{}}' END || (
           SELECT coalesce(jsonb_object_agg(given.name, given.said), '{{}}')
             FROM jsonb_each(draft.customer) AS given (name, said)
            WHERE btrim(given.said #>> '{{}}') <> '') AS customer
  FROM invoices AS draft
  JOIN organizations AS root ON root.id = %(organization_id)s
  JOIN users AS named ON named.organization_id = %(organization_id)s AND named.id = draft.user_id
  JOIN users AS payer ON payer.organization_id = %(organization_id)s
       AND payer.id = coalesce(named.merged_into_id, named.id)
 WHERE draft.organization_id = %(organization_id)s AND draft.id = %(id)s
)"""
ISSUING: Final = f"{WHOSE_DRAFT}, {DRAWN}"
# Whoever issues waits here, and reads what the one before has issued; rolled back, the number is the next one's.
NEXT_NUMBER: Final = f"""
INSERT INTO invoice_counters AS counter (organization_id, kind, series)
SELECT %(organization_id)s, draft.kind, {_SERIES}
  FROM invoices AS draft JOIN organizations AS root ON root.id = %(organization_id)s
 WHERE draft.organization_id = %(organization_id)s AND draft.id = %(id)s AND draft.state = 'draft'
ON CONFLICT (organization_id, kind, series) DO UPDATE SET last_number = counter.last_number"""
NUMBER: Final = """(
    SELECT counter.last_number + 1 FROM invoice_counters AS counter, whose
     WHERE counter.organization_id = %(organization_id)s AND counter.kind = whose.kind
       AND counter.series = whose.series)"""
ALL_THERE: Final = "(SELECT count(*) FROM drawn) >= greatest(jsonb_array_length(positions), 1)"
ISSUED: Final = """
counted AS (
    UPDATE invoice_counters AS counter SET last_number = moved.number FROM moved, whose
     WHERE counter.organization_id = %(organization_id)s AND counter.kind = whose.kind
       AND counter.series = moved.series
    RETURNING 1
), lined AS (
    INSERT INTO invoice_lines (
        organization_id, invoice_id, kind, position, description, happened_on, appointment_id, credit_transaction_id,
        turn, quantity, unit_cents, tax_basis_points, total_cents, tax_cents, net_before, tax_before, rate_position,
        rate_before, line_count, invoice_net_cents, invoice_tax_cents)
    SELECT %(organization_id)s, moved.id, whose.kind, drawn.position, drawn.description, drawn.happened_on,
           drawn.appointment_id, drawn.credit_transaction_id, drawn.turns + 1, drawn.quantity, drawn.unit_cents,
           drawn.tax_basis_points, drawn.total_cents, drawn.tax_cents,
           drawn.net_after - drawn.total_cents + drawn.tax_cents, drawn.tax_after - drawn.tax_cents,
           drawn.rate_position, drawn.rate_after - drawn.total_cents,
           moved.line_count, moved.net_cents, moved.tax_cents
      FROM drawn, moved, whose ORDER BY drawn.position
    RETURNING 1
)"""
