"""How many segments, personas and runs of journeys there are in all, for who watches the gateway."""

from alembic import op

revision = "0017"
down_revision = "0016"

# A unit of work sees its own tenant only: this function alone looks across tenants, and yields nothing but numbers.
COUNTS = """
CREATE OR REPLACE FUNCTION kept_in_all(OUT segments bigint, OUT personas bigint, OUT runs bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT (SELECT count(*) FROM public.segment WHERE NOT managed),
           (SELECT count(*) FROM public.persona),
           (SELECT count(*) FROM public.journey_segment)
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for table in ("persona", "journey_segment"):
        op.execute(f"DROP POLICY IF EXISTS owner ON {table}")
        op.execute(f"CREATE POLICY owner ON {table} FOR SELECT TO CURRENT_USER USING (true)")
    op.execute(COUNTS)
    op.execute("REVOKE ALL ON FUNCTION kept_in_all() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION kept_in_all() TO gateway_app")
