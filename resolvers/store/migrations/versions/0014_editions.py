"""Editions: what says of the rollups of a day, and of a tenant's presence, whether they are still what was read."""

from alembic import op

revision = "0014"
down_revision = "0013"

ROLLUP_DAY = """CREATE TABLE IF NOT EXISTS rollup_day (
    tenant_id integer NOT NULL,
    day date NOT NULL,
    edition bigint NOT NULL,
    PRIMARY KEY (tenant_id, day)
) WITH (fillfactor = 50)"""
FILL = """
INSERT INTO rollup_day (tenant_id, day, edition)
SELECT DISTINCT tenant_id, (at AT TIME ZONE 'UTC')::date, 0 FROM rollup WHERE grain = 1 AND dimension = 0
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(ROLLUP_DAY)
    # The owner reads all tenants' rollups this once; the lock that this takes keeps writers out until both are there.
    op.execute("ALTER TABLE rollup NO FORCE ROW LEVEL SECURITY")
    op.execute(FILL)
    op.execute("ALTER TABLE rollup FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE rollup_day ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE rollup_day FORCE ROW LEVEL SECURITY")
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    op.execute("DROP POLICY IF EXISTS tenant_only ON rollup_day")
    op.execute(f"CREATE POLICY tenant_only ON rollup_day TO gateway_app USING ({mine}) WITH CHECK ({mine})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON rollup_day TO gateway_app")
    op.execute("ALTER TABLE presence_state ADD COLUMN IF NOT EXISTS edition bigint NOT NULL DEFAULT 0")
