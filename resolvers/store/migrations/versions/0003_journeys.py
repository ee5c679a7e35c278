"""Journey segments: the log as compressed columns, and how far they reach."""

from alembic import op

revision = "0003"
down_revision = "0002"

COLUMNS = (
    "kind name success assisted recurring "
    "channel campaign source persona segment provider model feature agent integration service plan location "
    "experiment variant request_type"
).split()

TABLES = [
    """CREATE TABLE journey_state (
        tenant_id integer NOT NULL,
        folded_to bigint NOT NULL,
        folded_at timestamptz NOT NULL,
        manifest jsonb NOT NULL,
        PRIMARY KEY (tenant_id)
    )""",
    f"""CREATE TABLE journey_segment (
        tenant_id integer NOT NULL,
        month date NOT NULL,
        after bigint NOT NULL,
        through bigint NOT NULL,
        rows integer NOT NULL,
        subject bytea NOT NULL,
        at bytea NOT NULL,
        {", ".join(f"{name} bytea" for name in COLUMNS)},
        PRIMARY KEY (tenant_id, month, after, through)
    )""",
    # The columns are compressed already.
    "ALTER TABLE journey_segment "
    + ", ".join(f"ALTER COLUMN {name} SET STORAGE EXTERNAL" for name in ("subject", "at", *COLUMNS)),
]

# Upkeep has to learn which tenants need it, and a unit of work sees its own tenant only: this function alone looks
# across tenants, and yields nothing but numbers.
BEHIND = """
CREATE FUNCTION journeys_behind(events bigint, age interval)
RETURNS TABLE (tenant_id integer, tail bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT v.tenant_id, v.version - coalesce(s.folded_to, 0)
    FROM public.data_version v LEFT JOIN public.journey_state s USING (tenant_id)
    WHERE v.kind = 0 AND v.version > coalesce(s.folded_to, 0)
        AND (v.version - coalesce(s.folded_to, 0) >= events OR s.folded_at IS NULL OR s.folded_at < now() - age)
    ORDER BY 2 DESC
    LIMIT 1000
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for statement in TABLES:
        op.execute(statement)
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    for table in ("journey_state", "journey_segment"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant_only ON {table} TO gateway_app USING ({mine}) WITH CHECK ({mine})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gateway_app")
    op.execute("CREATE POLICY owner ON journey_state FOR SELECT TO CURRENT_USER USING (true)")
    op.execute(BEHIND)
    op.execute("REVOKE ALL ON FUNCTION journeys_behind(bigint, interval) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION journeys_behind(bigint, interval) TO gateway_app")
