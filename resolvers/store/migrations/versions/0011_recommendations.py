"""What was decided about recommendations."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(
        """CREATE TABLE IF NOT EXISTS recommendation (
            tenant_id integer NOT NULL,
            key text COLLATE "C" NOT NULL,
            state smallint NOT NULL,
            decided_at timestamptz NOT NULL,
            key_id integer NOT NULL,
            reason text,
            finding jsonb NOT NULL,
            PRIMARY KEY (tenant_id, key)
        )"""
    )
    op.execute(
        "CREATE INDEX IF NOT EXISTS recommendation_by_time ON recommendation (tenant_id, state, decided_at, key)"
    )
    op.execute("ALTER TABLE recommendation ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE recommendation FORCE ROW LEVEL SECURITY")
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    op.execute("DROP POLICY IF EXISTS tenant_only ON recommendation")
    op.execute(f"CREATE POLICY tenant_only ON recommendation TO gateway_app USING ({mine}) WITH CHECK ({mine})")
    op.execute("GRANT SELECT, INSERT, UPDATE ON recommendation TO gateway_app")
