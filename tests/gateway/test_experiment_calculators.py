"""The calculators of experiments, over the wire."""

from tests.client import Client

ASK = """query ($metric: PlannedMetricInput!, $effect: PlannedEffectInput!, $units: BigInt!) {
  sampleSize(metric: $metric, effect: $effect) { control total }
  power(metric: $metric, effect: $effect, units: $units) { power }
}"""


async def test_calculators_answer_and_refuse(client: Client) -> None:
    share, effect = {"share": {"baseline": 0.1}}, {"relative": 0.1}
    found = await client.ask(ASK, metric=share, effect=effect, units=14_751)
    assert found["sampleSize"] == {"control": 14_751, "total": 29_502}
    assert 0.8 < found["power"]["power"] < 0.8001
    mean = await client.ask(ASK, metric={"mean": {"deviation": 20}}, effect={"absolute": 10}, units="64")
    assert mean["sampleSize"] == {"control": 64, "total": 128}
    # The same document again, with a value that is refused.
    answer = await client.send(ASK, metric={"share": {"baseline": 2}}, effect=effect, units=2)
    assert {(error["extensions"]["code"], error["extensions"]["field"]) for error in answer["errors"]} == {
        ("BAD_USER_INPUT", "metric.share.baseline")
    }
