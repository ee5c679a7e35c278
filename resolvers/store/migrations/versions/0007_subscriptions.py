"""Subscriptions: which one an event is about and how often its amount is due, and the way to these few events."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # Nullable and without a default: no row is written anew.
    op.execute("ALTER TABLE event ADD COLUMN IF NOT EXISTS subscription integer")
    op.execute('ALTER TABLE event ADD COLUMN IF NOT EXISTS interval text COLLATE "C"')
    # Holds the events of kind SUBSCRIPTION alone, so other events pay nothing for it. Making it reads the log once, and
    # writers wait for that.
    op.execute("CREATE INDEX IF NOT EXISTS event_of_subscriptions ON event (tenant_id, occurred_at) WHERE kind = 7")
