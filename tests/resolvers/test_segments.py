"""Segments: whom rules are true of, kept, found anew, told to other analyses."""

from random import Random

import pytest

from resolvers.analysis.segment_json import from_json, to_json
from resolvers.analysis.segments import Rule
from resolvers.context import Context
from resolvers.events import ingest
from resolvers.segments import Draft, members, memberships, save_segment
from resolvers.store.folding import fold
from tests.resolvers.segment_logs import PEOPLE, Log, made, meeting, shuffled, some_rule


async def names(context: Context, segment_id: int) -> set[str]:
    return {one.subject for one in (await members(context, segment_id, first=500)).subjects}


@pytest.mark.parametrize("seed", range(12))
async def test_members_are_whom_the_rules_are_true_of_event_by_event(context: Context, seed: int) -> None:
    random = Random(seed)
    now = context.services.now()
    log = Log([made(random, number, now) for number in range(60)], now, "UTC")
    sent = shuffled(random, log.events)
    rules: dict[int, Rule] = {}
    for start in range(0, len(sent), 25):
        assert not (await ingest(context, sent[start : start + 25])).rejected
        if start == 25:
            # Some of the log lies in journeys, the rest, late events among it, only in the log.
            await fold(context.services.database, context.principal.tenant_id)
    for number in range(8):
        rule = some_rule(random, now, list(rules))
        assert from_json(to_json(rule)) == rule
        saved = await save_segment(context, Draft(f"s{number}", rule))
        rules[saved.id] = rule
        expected = meeting(log, rule, rules)
        assert await names(context, saved.id) == expected, rule
        assert saved.size == len(expected)
        for who in (*PEOPLE, "nobody"):
            assert await memberships(context, who, [saved.id]) == ({saved.id} if who in expected else set())
