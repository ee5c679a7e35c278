"""Variables that would hold everybody up while they are coerced are refused before."""

import pytest
from graphql import OperationDefinitionNode, parse

from gateway.variables import LONGEST_LIST, MOST_CONTAINERS, are_modest


def modest(type_: str, value: object) -> bool:
    (operation,) = parse(f"query ($v: {type_}) {{ a(v: $v) }}").definitions
    assert isinstance(operation, OperationDefinitionNode)
    return are_modest(operation, {"v": value})


@pytest.mark.parametrize("type_", ["FilterInput", "[EventInput!]!", "IngestEventsInput!", "JSON"])
def test_no_list_is_longer_than_a_batch(type_: str) -> None:
    assert modest(type_, {"events": [1] * LONGEST_LIST})
    assert not modest(type_, {"events": [1] * (LONGEST_LIST + 1)})


def test_only_batches_of_events_hold_many_objects() -> None:
    many = [{"kind": ["PRODUCT"]}] * (MOST_CONTAINERS // 2)
    assert not modest("FilterInput", {"all": many})
    assert modest("FilterInput", {"all": many[2:]})
    assert modest("[EventInput!]!", many)


def test_what_is_absent_or_plain_is_modest() -> None:
    assert modest("Int", None)
    assert modest("[Int!]", 5)
