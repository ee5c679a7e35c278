"""A role for the writer alone, which copies rows into the log's tables and can do nothing else; looking up texts."""

from alembic import op

revision = "0004"
down_revision = "0003"

KEYS = [
    "ALTER TABLE event_key RENAME TO event_key_rows",
    "ALTER INDEX event_key_pkey RENAME TO event_key_rows_pkey",
    """CREATE TABLE event_key (
        tenant_id integer NOT NULL,
        key bytea NOT NULL,
        content bytea NOT NULL,
        position bigint NOT NULL,
        occurred_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, key)
    ) PARTITION BY RANGE (tenant_id)""",
    # Policies refuse COPY, and they guard what is named: the one partition beneath has none.
    "DROP POLICY tenant_only ON event_key_rows",
    "ALTER TABLE event_key_rows NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
    "REVOKE ALL ON event_key_rows FROM gateway_app",
    "ALTER TABLE event_key ATTACH PARTITION event_key_rows FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
    "ALTER TABLE event_key ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE event_key FORCE ROW LEVEL SECURITY",
]

# As before, and the writer may fill what it makes.
ENSURE_PARTITION = """
CREATE OR REPLACE FUNCTION ensure_event_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    month date := date_trunc('month', day::timestamp)::date;
    partition text := 'event_' || to_char(month, 'YYYYMM');
BEGIN
    IF month < '2000-01-01' OR month > (now() AT TIME ZONE 'UTC')::date + 40 THEN
        RAISE EXCEPTION 'no events may lie in %', month;
    END IF;
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('gateway.partition'), 0);
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.event INCLUDING DEFAULTS)', partition);
    EXECUTE format('GRANT INSERT ON public.%I TO gateway_writer', partition);
    EXECUTE format(
        'ALTER TABLE public.event ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition, month::text || ' 00:00+00', (month + interval '1 month')::date::text || ' 00:00+00'
    );
END $$
"""

# A tenant that statistics do not know yet seems to have a row or none, and every index then as good as another; walking
# all its texts for each one that is looked up was the planner's choice once. Only one index has the order asked for.
TERM_CODES = """
CREATE FUNCTION term_codes(tenant integer, wanted_space smallint, wanted text[])
RETURNS TABLE (value text, code integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off AS $$
    SELECT found.value, found.code FROM unnest(wanted) AS one(value) CROSS JOIN LATERAL (
        SELECT t.value, t.code FROM public.term t
        WHERE t.tenant_id = tenant AND t.space = wanted_space AND t.value >= one.value AND t.value <= one.value
        ORDER BY t.value LIMIT 1
    ) AS found
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(
        """DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_writer') THEN
                CREATE ROLE gateway_writer NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$"""
    )
    op.execute("GRANT gateway_writer TO CURRENT_USER")
    op.execute("GRANT USAGE ON SCHEMA public TO gateway_writer")
    for statement in KEYS:
        op.execute(statement)
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    op.execute(f"CREATE POLICY tenant_only ON event_key TO gateway_app USING ({mine}) WITH CHECK ({mine})")
    op.execute("GRANT SELECT ON event_key TO gateway_app")
    op.execute("REVOKE INSERT ON event FROM gateway_app")
    op.execute("GRANT INSERT ON event_key_rows TO gateway_writer")
    op.execute(ENSURE_PARTITION)
    op.execute(
        """DO $$ DECLARE partition regclass; BEGIN
            FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'public.event'::regclass LOOP
                EXECUTE format('GRANT INSERT ON %s TO gateway_writer', partition);
            END LOOP;
        END $$"""
    )
    op.execute(TERM_CODES)
    op.execute("REVOKE ALL ON FUNCTION term_codes(integer, smallint, text[]) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION term_codes(integer, smallint, text[]) TO gateway_app")
