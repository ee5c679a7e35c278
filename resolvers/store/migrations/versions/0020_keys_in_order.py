"""Keys of ids that follow each other follow each other; the dictionary may be copied into by the writer's role."""

from alembic import op
from sqlalchemy import text

revision = "0020"
down_revision = "0019"

# What is the id's own bytes, those of the UUID that it is, or its beginning and the digest that was its key.
_KEY = """CASE
    WHEN id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
        THEN '\\xfe'::bytea || decode(replace(id, '-', ''), 'hex')
    WHEN octet_length(id) <= 40 THEN convert_to(id, 'UTF8')
    ELSE substring(convert_to(id, 'UTF8') FOR 24) || '\\xff'::bytea || key
END"""
_MONTHS = """
SELECT string_agg(format('SELECT tenant_id, position, occurred_at, id FROM %s', inhrelid::regclass), ' UNION ALL ')
FROM pg_inherits WHERE inhparent = 'public.event'::regclass
"""
_COMPLETE = "SELECT (SELECT count(*) FROM event_keys) = (SELECT count(*) FROM event_key_rows)"
# Gateways of an earlier version know no table of this name: what they still take in they fail to store.
_NEW_KEYS = """CREATE TABLE event_keys (
    tenant_id integer NOT NULL,
    key bytea NOT NULL,
    content bytea NOT NULL,
    position bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL
)"""
_ATTACH_KEYS = [
    "ALTER TABLE event_keys ADD PRIMARY KEY (tenant_id, key)",
    "ALTER TABLE event_key DETACH PARTITION event_key_rows",
    "DROP TABLE event_key_rows",
    "ALTER TABLE event_key ATTACH PARTITION event_keys FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
    "GRANT INSERT ON event_keys TO gateway_writer",
]
# As with the keys before: policies refuse COPY, and they guard what is named.
_TERMS = [
    "ALTER TABLE term RENAME TO terms",
    "ALTER INDEX term_pkey RENAME TO terms_pkey",
    "ALTER INDEX term_tenant_id_space_value_key RENAME TO terms_tenant_id_space_value_key",
    """CREATE TABLE term (
        tenant_id integer NOT NULL,
        space smallint NOT NULL,
        code integer NOT NULL,
        value text COLLATE "C" NOT NULL,
        PRIMARY KEY (tenant_id, space, code),
        UNIQUE (tenant_id, space, value)
    ) PARTITION BY RANGE (tenant_id)""",
    "DROP POLICY tenant_only ON terms",
    "ALTER TABLE terms NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
    "REVOKE ALL ON terms FROM gateway_app",
    "ALTER TABLE term ATTACH PARTITION terms FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
    "ALTER TABLE term ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE term FORCE ROW LEVEL SECURITY",
    "GRANT SELECT, INSERT ON term TO gateway_app",
    "GRANT INSERT ON terms TO gateway_writer",
]


def upgrade() -> None:
    connection = op.get_bind()
    op.execute("SET LOCAL lock_timeout = '3s'")
    # Nobody appends to a log until its keys are all there.
    op.execute("LOCK TABLE event_key, term IN ACCESS EXCLUSIVE MODE")
    op.execute(_NEW_KEYS)
    months = connection.execute(text(_MONTHS)).scalar()
    if months is not None:
        connection.exec_driver_sql(
            f"INSERT INTO event_keys SELECT tenant_id, {_KEY}, content, position, occurred_at, received_at"  # noqa: S608
            f" FROM event_key_rows JOIN ({months}) AS events USING (tenant_id, position, occurred_at)"
        )
    if not connection.execute(text(_COMPLETE)).scalar():
        raise RuntimeError("there are keys without events, or events without keys; `gateway verify` tells which")
    for statement in (*_ATTACH_KEYS, *_TERMS):
        op.execute(statement)
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    op.execute(f"CREATE POLICY tenant_only ON term TO gateway_app USING ({mine}) WITH CHECK ({mine})")
    # A row with a long histogram would be compressed anew with every batch.
    op.execute("ALTER TABLE rollup SET (toast_tuple_target = 8160)")
