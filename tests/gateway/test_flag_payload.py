"""What SDKs are given to evaluate locally comes to what the gateway itself comes to, for whoever and whenever."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.flag_payload import payload
from resolvers.analysis.flag_evaluation import Evaluator
from resolvers.analysis.flag_targeting import Person
from resolvers.analysis.flags import Flag
from resolvers.store.flag_cache import FlagSet
from tests.flag_oracle import evaluate
from tests.flag_worlds import SUBJECTS, contexts, moments, worlds


@settings(max_examples=120, deadline=None)
@given(worlds(), st.sampled_from([None, *SUBJECTS]), contexts, moments)
def test_a_local_evaluation_comes_to_the_same(
    flags: dict[str, Flag], subject: str | None, context: dict[str, Any], at: Any
) -> None:
    document = orjson.loads(orjson.dumps(payload(FlagSet(7, flags), "production")))
    evaluator = Evaluator(flags, "production", Person(subject, context), at)
    for key in (*flags, "absent"):
        found = evaluator.evaluate(key)
        told = (found.error or found.reason).name
        assert (found.value, found.variation, told, found.rule) == evaluate(document, key, subject, context, at)
