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


DIMENSIONS = """channel campaign source persona segment provider model feature agent integration service plan location
    experiment variant request_type""".split()
_VALUES = ", ".join(f"({place}, {name})" for place, name in enumerate(("0", *DIMENSIONS)))
_FLAGS = " + ".join(
    f"{3**place} * CASE {flag} WHEN true THEN 2 WHEN false THEN 1 ELSE 0 END"
    for place, flag in enumerate(("recurring", "success", "assisted"))
)


def _measure(value: str) -> str:
    return (
        f"count({value}), coalesce(sum({value}), 0), coalesce(sum(({value} * {value})::double precision), 0),"
        f" min({value}), max({value})"
    )


# The rollups of what the log holds already. A bucket is ceil(log of the duration to the base 1.01 / 0.99).
FILL = f"""
WITH event_of AS (
    SELECT event.*, d.dimension::smallint AS dimension, d.value, coalesce(currency, '') AS code,
           ({_FLAGS})::smallint AS flags, CASE WHEN duration_ms < 0.001 THEN -1000000
           ELSE ceil(ln(duration_ms) / 0.02000066670666952403176421490::double precision)::bigint END AS bucket
    FROM event CROSS JOIN LATERAL (VALUES {_VALUES}) AS d(dimension, value)
    WHERE d.value IS NOT NULL
), grained AS (
    SELECT 0::smallint AS grain, date_trunc('hour', occurred_at, 'UTC') AS at, event_of.* FROM event_of
    UNION ALL SELECT 1::smallint, date_trunc('day', occurred_at, 'UTC'), event_of.* FROM event_of
), counted AS (
    SELECT tenant_id, grain, dimension, value, kind, name, code, flags, at, bucket, count(*) AS n
    FROM grained WHERE duration_ms IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
), histograms AS (
    SELECT tenant_id, grain, dimension, value, kind, name, code, flags, at,
           array_agg(bucket << 32 | n ORDER BY bucket) AS histogram
    FROM counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), summed AS (
    SELECT tenant_id, grain, dimension, value, kind, name, code, flags, at, count(*),
           {_measure("amount")}, {_measure("cost")}, {_measure("duration_ms")}
    FROM grained GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
)
INSERT INTO rollup
SELECT summed.*, histogram
FROM summed LEFT JOIN histograms USING (tenant_id, grain, dimension, value, kind, name, code, flags, at)
"""  # noqa: S608  # constants only


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(ROLLUP)
    op.execute(MERGE)
    op.execute("CREATE AGGREGATE strung_histograms (bigint[]) (SFUNC = array_cat, STYPE = bigint[], PARALLEL = SAFE)")
    # The owner reads all tenants' events this once; the lock that this takes keeps writers out until both are there.
    op.execute("ALTER TABLE event NO FORCE ROW LEVEL SECURITY")
    op.execute(FILL)
    op.execute("ALTER TABLE event FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE rollup ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE rollup FORCE ROW LEVEL SECURITY")
    mine = "tenant_id = NULLIF(current_setting('gateway.tenant', true), '')::integer"
    op.execute(f"CREATE POLICY tenant_only ON rollup TO gateway_app USING ({mine}) WITH CHECK ({mine})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON rollup TO gateway_app")
