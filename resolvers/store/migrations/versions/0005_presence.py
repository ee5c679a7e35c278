"""Presence: subjects and orders of each day as sets, and how far they reach."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = [
    """CREATE TABLE presence_state (
        tenant_id integer NOT NULL,
        folded_to bigint NOT NULL,
        PRIMARY KEY (tenant_id)
    )""",
    """CREATE TABLE presence (
        tenant_id integer NOT NULL,
        member smallint NOT NULL,
        day date NOT NULL,
        edition bigint NOT NULL,
        codes bytea,
        hours bytea,
        PRIMARY KEY (tenant_id, member, day)
    )""",
    # They are compressed already.
    "ALTER TABLE presence ALTER COLUMN codes SET STORAGE EXTERNAL, ALTER COLUMN hours SET STORAGE EXTERNAL",
    "CREATE INDEX presence_lost ON presence (tenant_id) WHERE codes IS NULL",
]

# Due is who is due for segments, and in the same way for presence, or has lost some of it.
BEHIND = """
CREATE OR REPLACE FUNCTION journeys_behind(events bigint, age interval)
RETURNS TABLE (tenant_id integer, tail bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT v.tenant_id, v.version - reach.folded_to
    FROM public.data_version v
    LEFT JOIN public.journey_state s USING (tenant_id)
    LEFT JOIN public.presence_state p USING (tenant_id)
    CROSS JOIN LATERAL (SELECT least(coalesce(s.folded_to, 0), coalesce(p.folded_to, 0)) AS folded_to) AS reach
    WHERE v.kind = 0 AND (
        v.version > reach.folded_to AND (
            v.version - reach.folded_to >= events OR s.folded_at IS NULL OR p.folded_to IS NULL
            OR s.folded_at < now() - age
        )
        OR EXISTS (SELECT FROM public.presence lost WHERE lost.tenant_id = v.tenant_id AND lost.codes IS NULL)
    )
    ORDER BY 2 DESC
    LIMIT 1000
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for statement in TABLES:
        op.execute(statement)
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    for table in ("presence_state", "presence"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant_only ON {table} TO gateway_app USING ({mine}) WITH CHECK ({mine})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gateway_app")
    # For the function alone, which has to see no sets.
    op.execute("CREATE POLICY owner ON presence_state FOR SELECT TO CURRENT_USER USING (true)")
    op.execute("CREATE POLICY owner ON presence FOR SELECT TO CURRENT_USER USING (codes IS NULL)")
    op.execute(BEHIND)
