"""How often variations were given is forgotten after some 400 days: the gateway may delete it."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("GRANT DELETE ON flag_tally TO gateway_app")
