"""Sets of a day as bytes and back."""

import pytest
from hypothesis import given

from resolvers.analysis.planning import ALL_DAY
from resolvers.analysis.presence import by_day
from resolvers.store.presence_codec import opened_sets, sealed_sets
from resolvers.store.segment_codec import Damaged
from tests.resolvers.analysis.test_presence import Seen, columns, seen


@given(seen)
def test_what_is_kept_is_read_back_and_nothing_else_is(events: list[Seen]) -> None:
    for _, _, sets in by_day(columns(events)):
        codes, hours = sealed_sets(sets, "here")
        assert opened_sets(codes, hours, "here").equals(sets)
        assert opened_sets(codes, None, "here").select(lambda _: True, ALL_DAY).size == len(set(sets.codes.tolist()))
        with pytest.raises(Damaged):
            opened_sets(codes, hours, "there")
        with pytest.raises(Damaged):
            opened_sets(codes[:-1] + bytes([codes[-1] ^ 1]), hours, "here")
