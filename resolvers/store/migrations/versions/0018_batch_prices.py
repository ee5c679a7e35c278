"""What calls that were sent in batches cost, of each tenant's prices."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # Nullable and without a default: no row is written anew.
    for tokens in ("input", "output", "cache_read", "cache_write"):
        op.execute(f"ALTER TABLE model_price ADD COLUMN IF NOT EXISTS batch_{tokens}_per_million numeric")
