"""An index of conversions that tells what they are called and of which order they are, too, in place of one that does
not: what of them is a gain, and who bought how often, is read from it alone.
"""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(
        "CREATE INDEX IF NOT EXISTS event_sale ON event (tenant_id, occurred_at, position)"
        " INCLUDE (subject, name, currency, amount, order_id) WHERE kind = 1"
    )
    op.execute("DROP INDEX IF EXISTS event_conversion")
