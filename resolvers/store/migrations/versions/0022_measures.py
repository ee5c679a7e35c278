"""What AI calls say beside their cost, as columns beside the ledger of calls."""

from alembic import op

revision = "0022"
down_revision = "0021"

# Due is who was due before, and who has a segment without measures, as those are that were made before there were any.
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
        OR EXISTS (SELECT FROM public.journey_segment old WHERE old.tenant_id = v.tenant_id AND old.measures IS NULL)
    )
    ORDER BY 2 DESC
    LIMIT 1000
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("ALTER TABLE journey_segment ADD COLUMN IF NOT EXISTS measures bytea")
    # They are compressed already.
    op.execute("ALTER TABLE journey_segment ALTER COLUMN measures SET STORAGE EXTERNAL")
    op.execute("DROP INDEX IF EXISTS journey_segment_without_ledgers")
    op.execute(
        "CREATE INDEX IF NOT EXISTS journey_segment_incomplete ON journey_segment (tenant_id) WHERE measures IS NULL"
    )
    # For the function alone, which has to see no events.
    op.execute("DROP POLICY IF EXISTS owner ON journey_segment")
    op.execute("CREATE POLICY owner ON journey_segment FOR SELECT TO CURRENT_USER USING (measures IS NULL)")
    op.execute(BEHIND)
