"""What is foretold goes to other processes and back as it is, and may be taken a little old."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from resolvers import answers
from resolvers.context import Context
from resolvers.cutoffs import Asking
from resolvers.lifetime_value import lifetime_value
from resolvers.propensity import churn_risk
from resolvers.sharing import ANSWERS
from resolvers.survival import survival
from tests.factories import event, store
from tests.resolvers.foretelling import CUTOFF, at, shoppers, subscribers

ASKING = Asking(CUTOFF, timedelta(days=365), by=("plan",), top=5)


async def test_answers_are_plain_values(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    await store(context, *subscribers(120), *shoppers(150))
    kept: list[Any] = []
    original = answers.kept

    async def keeping(*asked: Any, **how: Any) -> Any:
        kept.append(await original(*asked, **how))
        return kept[-1]

    for module in ("propensity", "lifetime_value", "survival"):
        monkeypatch.setattr(f"resolvers.{module}.kept", keeping)
    await churn_risk(context, ASKING)
    await lifetime_value(context, timedelta(days=90), ASKING)
    await survival(context, ASKING)
    assert kept[0].ranked
    assert kept[1].ranked
    assert kept[2].groups
    assert [ANSWERS.read(ANSWERS.write(one)) for one in kept] == kept


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda context, asking: churn_risk(context, asking), id="propensity"),
        pytest.param(lambda context, asking: lifetime_value(context, timedelta(days=90), asking), id="value"),
        pytest.param(lambda context, asking: survival(context, asking), id="survival"),
    ],
)
async def test_an_older_answer_may_do(context: Context, ask: Callable[[Context, Asking], Awaitable[Any]]) -> None:
    old = replace(ASKING, max_age=timedelta(hours=1))
    await store(context, event(kind="CONVERSION", name="buy", amount="5", currency="USD", occurredAt=at(20)))
    before = await ask(context, old)
    await store(
        context, event(kind="CONVERSION", name="buy", subject="bob", amount="5", currency="USD", occurredAt=at(20))
    )
    assert await ask(context, old) == before
    assert await ask(Context(context.services, context.principal), ASKING) != before
