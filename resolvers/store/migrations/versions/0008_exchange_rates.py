"""Exchange rates of each tenant, dated."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # By currency first: what is looked for is every base that has a rate of some currencies.
    op.execute(
        """CREATE TABLE IF NOT EXISTS exchange_rate (
            tenant_id integer NOT NULL,
            currency text COLLATE "C" NOT NULL,
            base text COLLATE "C" NOT NULL,
            day date NOT NULL,
            rate numeric NOT NULL CHECK (rate > 0 AND rate < 'Infinity'),
            PRIMARY KEY (tenant_id, currency, base, day)
        )"""
    )
    op.execute("ALTER TABLE exchange_rate ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE exchange_rate FORCE ROW LEVEL SECURITY")
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    op.execute("DROP POLICY IF EXISTS tenant_only ON exchange_rate")
    op.execute(f"CREATE POLICY tenant_only ON exchange_rate TO gateway_app USING ({mine}) WITH CHECK ({mine})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON exchange_rate TO gateway_app")
