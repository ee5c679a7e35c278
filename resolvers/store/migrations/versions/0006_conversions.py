"""An index of conversions that holds their amounts: they are few among the events, and asked for all at once."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(
        "CREATE INDEX IF NOT EXISTS event_conversion ON event (tenant_id, occurred_at, position)"
        " INCLUDE (subject, currency, amount) WHERE kind = 1"
    )
