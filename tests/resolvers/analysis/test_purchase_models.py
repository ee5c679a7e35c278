"""BG/NBD and Gamma-Gamma: published examples, recovery from simulation, oracles, and where they degenerate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln, gammaln
from scipy.stats import beta as beta_distribution
from scipy.stats import gamma as gamma_distribution

from resolvers.analysis import bgnbd, gamma_gamma
from resolvers.analysis.bgnbd import BgNbd, Purchases, log_likelihood
from resolvers.analysis.customers import customers, fitted, foretold
from resolvers.analysis.diagnoses import Diagnosis
from resolvers.analysis.estimates import Quality
from resolvers.analysis.gamma_gamma import GammaGamma

CDNOW = BgNbd(0.243, 4.414, 0.793, 2.426, -9582.4, converged=True, at_bound=False)
"""As published by Fader, Hardie and Lee (2005)."""


def one(repeats: float, recency: float, age: float) -> Purchases:
    return Purchases(np.array([repeats]), np.array([recency]), np.array([age]))


def simulated(r: float, alpha: float, a: float, b: float, n: int, age: float, seed: int) -> Purchases:
    """Customers who do what the model says; a = 0 is never leaving."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(r, 1 / alpha, n)
    leaving = rng.beta(a, b, n) if a else np.zeros(n)
    repeats, recency = np.zeros(n), np.zeros(n)
    for person in range(n):
        at, alive = 0.0, True
        while alive:
            at += rng.exponential(1 / rate[person])
            if at > age:
                break
            repeats[person] += 1
            recency[person] = at
            alive = rng.random() >= leaving[person]
    return Purchases(repeats, recency, np.full(n, age))


def test_the_published_customer() -> None:
    """Two repeat purchases, the last in week 30.43 of 38.86: 1.226 more are expected in the next 39 weeks."""
    assert CDNOW.expected_purchases(one(2, 30.43, 38.86), 39)[0] == pytest.approx(1.226, abs=5e-4)


def test_who_has_not_bought_again_is_alive() -> None:
    assert CDNOW.probability_alive(one(0, 0, 38.86))[0] == 1


purchases = st.tuples(st.integers(0, 30), st.floats(0.01, 1), st.floats(0.5, 60)).map(
    lambda of: one(of[0], of[1] * of[2] if of[0] else 0.0, of[2])
)
parameters = st.tuples(st.floats(0.2, 4), st.floats(0.5, 12), st.floats(0.2, 3), st.floats(0.4, 6))


def likelihood(of: Purchases, r: float, alpha: float, a: float, b: float) -> float:
    """The paper's equation 6 for one customer, term by term, without logarithms of sums."""
    x, recency, age = of.repeats[0], of.recency[0], of.age[0]
    share = np.exp(gammaln(r + x) - gammaln(r) + r * np.log(alpha))
    stayed = np.exp(betaln(a, b + x) - betaln(a, b)) * share / (alpha + age) ** (r + x)
    left = np.exp(betaln(a + 1, b + x - 1) - betaln(a, b)) * share / (alpha + recency) ** (r + x) if x else 0.0
    return float(stayed + left)


@given(purchases, parameters)
def test_the_likelihood_is_that_of_the_paper(of: Purchases, at: tuple[float, float, float, float]) -> None:
    assert log_likelihood(of, *at) == pytest.approx(np.log(likelihood(of, *at)), rel=1e-9, abs=1e-9)


@given(purchases, parameters)
def test_the_gradient_is_that_of_the_likelihood(of: Purchases, at: tuple[float, float, float, float]) -> None:
    logs, step = np.log(np.array(at)), 1e-6
    _, gradient = bgnbd._negative(of, logs)
    for place, shift in enumerate(np.eye(4) * step):
        slope = (bgnbd._negative(of, logs + shift)[0] - bgnbd._negative(of, logs - shift)[0]) / (2 * step)
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-5)


@given(purchases, parameters)
def test_p_alive_is_bayes(of: Purchases, at: tuple[float, float, float, float]) -> None:
    r, alpha, a, b = at
    x, age = of.repeats[0], of.age[0]
    stayed = np.exp(betaln(a, b + x) - betaln(a, b) + gammaln(r + x) - gammaln(r) + r * np.log(alpha))
    found = BgNbd(*at, 0.0, converged=True, at_bound=False).probability_alive(of)[0]
    assert found == pytest.approx(stayed / (alpha + age) ** (r + x) / likelihood(of, *at), rel=1e-8)


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(st.integers(0, 6), st.floats(0.1, 1), st.floats(2, 40)).map(
        lambda of: one(of[0], of[1] * of[2] if of[0] else 0.0, of[2])
    ),
    st.tuples(st.floats(0.5, 3), st.floats(1, 8), st.floats(0.6, 2.5), st.floats(0.6, 4)),
    st.floats(1, 30),
)
def test_expected_purchases_by_integration(
    of: Purchases, at: tuple[float, float, float, float], horizon: float
) -> None:
    """E[Y | alive] over the posterior of rate and dropout, for whom λ and p are known: (1 - e^(-λ p t)) / p."""
    r, alpha, a, b = at
    x, age = of.repeats[0], of.age[0]
    rate = gamma_distribution(r + x, scale=1 / (alpha + age))
    drop = beta_distribution(a, b + x)

    def given_dropout(p: float) -> float:
        # The gamma distribution's Laplace transform takes the rate out of the integral.
        return (1 - ((alpha + age) / (alpha + age + p * horizon)) ** (r + x)) / p

    value, error = quad(lambda p: given_dropout(p) * drop.pdf(p), 0, 1, limit=200)
    model = BgNbd(*at, 0.0, converged=True, at_bound=False)
    expected = value * model.probability_alive(of)[0]
    assert model.expected_purchases(of, horizon)[0] == pytest.approx(expected, rel=1e-5, abs=10 * error + 1e-9)
    assert expected <= rate.mean() * horizon + 1e-9


def test_expected_purchases_pass_through_the_singularity() -> None:
    values = [
        BgNbd(1.2, 5.0, a, 2.5, 0.0, converged=True, at_bound=False).expected_purchases(one(3, 10, 20), 13)[0]
        for a in (1 - 1e-4, 1.0, 1 + 1e-4)
    ]
    assert values[1] == pytest.approx((values[0] + values[2]) / 2, rel=1e-6)


@given(
    purchases,
    st.tuples(*[st.floats(np.log(bgnbd.LOWEST), np.log(bgnbd.HIGHEST)).map(np.exp)] * 4),
    st.floats(0.1, 104),
)
def test_whatever_was_fitted_something_is_foretold(
    of: Purchases, at: tuple[float, float, float, float], horizon: float
) -> None:
    model = BgNbd(*at, 0.0, converged=False, at_bound=True)
    alive, expected = model.probability_alive(of)[0], model.expected_purchases(of, horizon)[0]
    assert 0 <= alive <= 1
    # No more than without leaving: the mean of the rate after what was seen, over the horizon.
    assert 0 <= expected <= (at[0] + of.repeats[0]) / (at[1] + of.age[0]) * horizon * (1 + 1e-9)


def test_many_alike_leave_alike() -> None:
    """Where dropout hardly differs, the expectation is that of one probability, on both sides of what floats hold."""
    expected = [
        BgNbd(1.2, 5.0, 0.3 * scale, 0.7 * scale, 0.0, converged=True, at_bound=False).expected_purchases(
            one(3, 10, 20), 13
        )[0]
        for scale in (300, 1_000, 3_000, 10_000)
    ]
    assert expected == pytest.approx([expected[-1]] * 4, rel=0.02)


def test_parameters_are_recovered_from_simulation() -> None:
    truth = {"r": 0.8, "alpha": 6.0, "a": 0.9, "b": 2.2}
    known = simulated(*truth.values(), n=6_000, age=50, seed=11)
    found = bgnbd.fit(known)
    assert found.converged
    assert not found.at_bound
    assert found.log_likelihood >= log_likelihood(known, **truth)
    assert found.log_likelihood == pytest.approx(log_likelihood(known, found.r, found.alpha, found.a, found.b))
    for name, value in truth.items():
        assert getattr(found, name) == pytest.approx(value, rel=0.2)
    # Twice as long: the model of the first half foretells the second.
    longer = simulated(*truth.values(), n=6_000, age=100, seed=12)
    later = longer.repeats.mean() - simulated(*truth.values(), n=6_000, age=50, seed=12).repeats.mean()
    assert found.expected_purchases(known, 50).mean() == pytest.approx(later, rel=0.12)


def test_the_unit_of_time_does_not_matter() -> None:
    known = simulated(0.8, 6.0, 0.9, 2.2, n=1_500, age=50, seed=13)
    days = Purchases(known.repeats, known.recency * 7, known.age * 7)
    weekly, daily = bgnbd.fit(known), bgnbd.fit(days)
    assert daily.alpha == pytest.approx(weekly.alpha * 7, rel=1e-3)
    assert daily.expected_purchases(days, 91) == pytest.approx(weekly.expected_purchases(known, 13), rel=1e-3)


def rows(known: Purchases, amounts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """A day a purchase, spread between the first and the last, of customers who all began 50 weeks ago."""
    subject, day, amount = [], [], []
    for person, (repeats, recency) in enumerate(zip(known.repeats, known.recency, strict=True)):
        days = sorted({0, *np.linspace(0, recency * 7, int(repeats) + 1).astype(int).tolist()})
        subject += [person] * len(days)
        day += days
        amount += [amounts[person]] * len(days)
    return np.array(subject, np.int32), np.array(day, np.int64), np.array(amount), 351


def test_nobody_leaving_is_said() -> None:
    known = simulated(2.0, 8.0, 0.0, 1.0, n=1_500, age=50, seed=14)
    amounts = np.random.default_rng(14).gamma(3, 10, known.repeats.size)
    models = fitted(customers(*rows(known, amounts)))
    assert Diagnosis.NO_DROPOUT in {finding.diagnosis for finding in models.findings}
    assert models.quality is Quality.LOW
    count, alive, _ = foretold(models, customers(*rows(known, amounts)), 91)
    assert count is not None
    assert np.isfinite(count).all()
    assert alive is None


@pytest.mark.parametrize("n", [0, 1, 99])
def test_too_few_are_not_fitted(n: int) -> None:
    found = customers(*rows(simulated(0.8, 6.0, 0.9, 2.2, n=n, age=50, seed=15), np.ones(n)))
    models = fitted(found)
    assert models.quality is Quality.INSUFFICIENT
    assert [finding.diagnosis for finding in models.findings] == [Diagnosis.TOO_FEW_SUBJECTS]
    assert foretold(models, found, 91) == (None, None, None)


def test_one_price_for_all_is_what_is_expected() -> None:
    known = simulated(0.8, 6.0, 0.9, 2.2, n=800, age=50, seed=16)
    found = customers(*rows(known, np.full(800, 9.99)))
    models = fitted(found)
    assert Diagnosis.CONSTANT_SPEND in {finding.diagnosis for finding in models.findings}
    count, _, value = foretold(models, found, 91)
    assert count is not None
    assert value == pytest.approx(count * 9.99)


def test_spend_that_goes_with_frequency_is_said() -> None:
    known = simulated(0.8, 6.0, 0.9, 2.2, n=2_000, age=50, seed=17)
    amounts = (1 + known.repeats) * np.random.default_rng(17).gamma(50, 1 / 50, 2_000)
    models = fitted(customers(*rows(known, amounts)))
    assert Diagnosis.SPEND_DEPENDS_ON_FREQUENCY in {finding.diagnosis for finding in models.findings}


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 30)), unique=True, max_size=30))
def test_customers_are_summed_up(days: list[tuple[int, int]]) -> None:
    subject = np.array([of for of, _ in days], np.int32)
    day = np.array([at for _, at in days], np.int64)
    found = customers(subject, day, day + 1.0, 40)
    for place, person in enumerate(found.subject.tolist()):
        own = sorted(at for of, at in days if of == person)
        assert found.purchases.repeats[place] == len(own) - 1
        assert found.purchases.recency[place] * 7 == pytest.approx(own[-1] - own[0])
        assert found.purchases.age[place] * 7 == pytest.approx(39 - own[0])
        assert found.mean[place] == pytest.approx(sum(own[1:]) / (len(own) - 1) + 1 if own[1:] else 0)
    assert set(found.subject.tolist()) == {of for of, _ in days}


def test_the_published_spend() -> None:
    """The CDNOW figures of Fader and Hardie (2013): p 6.25, q 3.74, v 15.44; 2 purchases of 22.35 lead to 24.66."""
    model = GammaGamma(6.25, 3.74, 15.44, 0.0, converged=True, at_bound=False)
    assert model.expected_amount(np.array([2.0]), np.array([22.35]))[0] == pytest.approx(24.66, abs=0.02)
    assert model.mean == pytest.approx(35.2, abs=0.05)


@given(st.tuples(st.floats(0.5, 8), st.floats(0.5, 8), st.floats(0.5, 50)), st.integers(1, 20), st.floats(0.5, 200))
def test_the_gradient_of_the_spend(at: tuple[float, float, float], count: int, mean: float) -> None:
    logs, x, m = np.log(np.array(at)), np.array([float(count)]), np.array([mean])
    _, gradient = gamma_gamma._negative(x, m, logs)
    for place, shift in enumerate(np.eye(3) * 1e-6):
        slope = (gamma_gamma._negative(x, m, logs + shift)[0] - gamma_gamma._negative(x, m, logs - shift)[0]) / 2e-6
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_spend_is_recovered_from_simulation() -> None:
    rng = np.random.default_rng(18)
    count = rng.integers(1, 9, 8_000).astype(float)
    scale = rng.gamma(4.0, 1 / 20.0, count.size)
    mean = rng.gamma(5.0 * count, 1 / (scale * count))
    found = gamma_gamma.fit(count, mean)
    assert found.converged
    assert (found.p, found.q, found.v) == pytest.approx((5.0, 4.0, 20.0), rel=0.15)
    assert found.mean == pytest.approx(mean.mean(), rel=0.03)


def test_an_infinite_mean_has_no_value() -> None:
    model = GammaGamma(2.0, 0.9, 10.0, 0.0, converged=True, at_bound=False)
    assert model.mean is None
    assert np.isnan(model.expected_amount(np.array([0.0]), np.array([0.0]))[0])
    assert model.expected_amount(np.array([1.0]), np.array([10.0]))[0] == pytest.approx(2 * 20 / 1.9)
