"""Rollups: mergeable aggregates of the log by hour and by day, kept by whoever appends to it."""

from alembic import op

revision = "0002"
down_revision = "0001"

ROLLUP = """CREATE TABLE rollup (
    tenant_id integer NOT NULL,
    grain smallint NOT NULL,
    dimension smallint NOT NULL,
    value integer NOT NULL,
    kind smallint NOT NULL,
    name integer NOT NULL,
    currency text COLLATE "C" NOT NULL,
    flags smallint NOT NULL,
    at timestamptz NOT NULL,
    n bigint NOT NULL,
    amount_n bigint NOT NULL,
    amount_sum numeric NOT NULL,
    amount_squares double precision NOT NULL,
    amount_least numeric,
    amount_greatest numeric,
    cost_n bigint NOT NULL,
    cost_sum numeric NOT NULL,
    cost_squares double precision NOT NULL,
    cost_least numeric,
    cost_greatest numeric,
    duration_n bigint NOT NULL,
    duration_sum double precision NOT NULL,
    duration_squares double precision NOT NULL,
    duration_least double precision,
    duration_greatest double precision,
    histogram bigint[],
    PRIMARY KEY (tenant_id, grain, dimension, value, kind, name, currency, flags, at)
) WITH (fillfactor = 80)"""

# Each element holds a bucket's number in its upper and a count in its lower 32 bits, in the order of buckets.
MERGE = """
CREATE FUNCTION merged_histogram(one bigint[], other bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN one IS NULL THEN other WHEN other IS NULL THEN one ELSE (
        SELECT array_agg(bucket << 32 | count ORDER BY bucket)
        FROM (
            SELECT part >> 32 AS bucket, sum(part & 4294967295)::bigint AS count
            FROM unnest(one || other) AS part GROUP BY 1
        ) AS parts
    ) END
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(ROLLUP)
    op.execute("ALTER TABLE rollup ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE rollup FORCE ROW LEVEL SECURITY")
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    op.execute(f"CREATE POLICY tenant_only ON rollup TO gateway_app USING ({mine}) WITH CHECK ({mine})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON rollup TO gateway_app")
    op.execute(MERGE)
    op.execute("CREATE AGGREGATE strung_histograms (bigint[]) (SFUNC = array_cat, STYPE = bigint[], PARALLEL = SAFE)")
