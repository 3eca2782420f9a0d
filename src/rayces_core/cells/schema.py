"""The SQL that makes the catalogue, and what each cell has beside the migrated schema.

All of it lies in the schema rayces_cells, which no migration and no comparison of schemas looks at.
"""

from __future__ import annotations

from typing import Final

CATALOGUE: Final = """
CREATE SCHEMA IF NOT EXISTS rayces_cells;
CREATE TABLE IF NOT EXISTS rayces_cells.settings (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    trusted_seconds double precision NOT NULL CHECK (trusted_seconds >= 0)
);
CREATE TABLE IF NOT EXISTS rayces_cells.cells (
    name text PRIMARY KEY,
    number integer NOT NULL UNIQUE CHECK (number BETWEEN 0 AND 8191),
    added_at timestamptz DEFAULT now() NOT NULL
);
CREATE TABLE IF NOT EXISTS rayces_cells.tenants (
    subdomain text PRIMARY KEY,
    id bigint UNIQUE,
    cell text NOT NULL REFERENCES rayces_cells.cells,
    state text NOT NULL CHECK (state IN ('reserved', 'placed', 'moving', 'moved')),
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CHECK ((state = 'reserved') = (id IS NULL))
);
CREATE TABLE IF NOT EXISTS rayces_cells.moves (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subdomain text NOT NULL,
    tenant_id bigint NOT NULL,
    source text NOT NULL REFERENCES rayces_cells.cells,
    target text NOT NULL REFERENCES rayces_cells.cells,
    step text DEFAULT 'begun' NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    changed_at timestamptz DEFAULT now() NOT NULL,
    switched_at timestamptz,
    ended_at timestamptz,
    rows_copied bigint,
    checksums jsonb,
    CHECK (source <> target)
);
CREATE UNIQUE INDEX IF NOT EXISTS moves_under_way ON rayces_cells.moves (tenant_id)
    WHERE step NOT IN ('finished', 'cancelled');
ALTER TABLE rayces_cells.tenants ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS looked_up ON rayces_cells.tenants;
CREATE POLICY looked_up ON rayces_cells.tenants FOR SELECT USING (
    subdomain = current_setting('rayces.lookup', true)
    OR id = nullif(current_setting('rayces.organization_id', true), '')::bigint);
COMMENT ON TABLE rayces_cells.tenants IS 'rayces: shared';
COMMENT ON TABLE rayces_cells.settings IS 'rayces: shared'
"""

# For whoever looks one tenant up, and for whoever places and moves them.
OPEN_TO_ROLES: Final = (
    """GRANT USAGE ON SCHEMA rayces_cells TO {role};
    GRANT SELECT ON rayces_cells.tenants, rayces_cells.settings TO {role}""",
    """GRANT USAGE ON SCHEMA rayces_cells TO {role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON rayces_cells.settings, rayces_cells.cells, rayces_cells.tenants,
        rayces_cells.moves TO {role};
    DROP POLICY IF EXISTS placed ON rayces_cells.tenants;
    CREATE POLICY placed ON rayces_cells.tenants TO {role} USING (true) WITH CHECK (true)""",
)

# The mover itself names the organization. A statement over many tenants, such as a relay's, passes over the messages
# of one that is on its way; whoever is bound to it is told.
CELL: Final = """
CREATE SCHEMA IF NOT EXISTS rayces_cells;
CREATE TABLE IF NOT EXISTS rayces_cells.this (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    name text NOT NULL,
    number integer NOT NULL
);
CREATE OR REPLACE FUNCTION rayces_cells.refuse_moving() RETURNS trigger LANGUAGE plpgsql AS $refuse$
DECLARE
    held record;
BEGIN
    IF current_setting('rayces.moving', true) = TG_ARGV[0]
    THEN
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    END IF;
    IF TG_ARGV[1] = 'messages' AND TG_OP <> 'INSERT'
       AND coalesce(current_setting('rayces.organization_id', true), '') = ''
    THEN
        RETURN NULL;
    END IF;
    SELECT subdomain, moving, moving_cell INTO held FROM {organizations} WHERE id = TG_ARGV[0]::bigint;
    IF held.moving IN ('left', 'arriving') THEN
        RAISE EXCEPTION 'organization % lives in another cell', TG_ARGV[0]
            USING ERRCODE = 'RYMVD', DETAIL = concat_ws(' ', held.subdomain, held.moving_cell);
    END IF;
    RAISE EXCEPTION 'organization % is being moved', TG_ARGV[0]
        USING ERRCODE = 'RYMNG', DETAIL = concat_ws(' ', coalesce(held.subdomain, TG_ARGV[0]), held.moving_cell);
END
$refuse$;
-- Whose rows policies let be seen while a tenant is moved: who is bound, unless only an old copy of them is left here.
CREATE OR REPLACE FUNCTION rayces_cells.bound_here(moved bigint, admin_role name) RETURNS bigint LANGUAGE plpgsql
    STABLE PARALLEL SAFE AS $refuse$
DECLARE
    bound CONSTANT bigint := nullif(current_setting('rayces.organization_id', true), '')::bigint;
    held record;
BEGIN
    IF bound = moved THEN
        SELECT subdomain, moving, moving_cell INTO held FROM {organizations} WHERE id = moved;
        IF held.moving = 'left' THEN
            RAISE EXCEPTION 'organization % lives in another cell', moved
                USING ERRCODE = 'RYMVD', DETAIL = concat_ws(' ', held.subdomain, held.moving_cell);
        END IF;
    ELSIF bound IS NULL AND pg_has_role(current_user, admin_role, 'USAGE') THEN
        RAISE EXCEPTION 'organization % is being moved, so % does not see the rows of all by what it inherits', moved,
            current_user USING ERRCODE = '42501', HINT = format('SET ROLE %I first', admin_role);
    END IF;
    RETURN bound;
END
$refuse$;
GRANT EXECUTE ON FUNCTION rayces_cells.bound_here TO PUBLIC
"""
