"""The search for λ: steps that grow by a tenth, and every stop of the paper."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from Agg2ExpLib.counterfactuals.outputs import Measured
from Agg2ExpLib.counterfactuals.search import Found, Tried, search
from Agg2ExpLib.counterfactuals.shift import amounts_of


def run(sign: int, probability: Callable[[float], float], change: Callable[[float], float] = lambda amount: 0.0) -> Found:
    def look(amount: float) -> Tried:
        value = probability(amount)
        return Tried(amount, Measured(value, value), change(amount))

    counted: list[int] = []
    found = search(sign, Measured(probability(0), probability(0)), look, counted.append)
    assert counted == list(range(1, len(found.tried) + 1))
    return found


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_steps_grow_by_a_tenth_until_the_class_is_gone() -> None:
    found = run(-1, lambda amount: sigmoid(1 + amount / 2))
    amounts = [-tried.amount for tried in found.tried]
    assert amounts[:3] == pytest.approx([1, 2.1, 3.31])
    assert sigmoid(1 + found.end / 2) < 0.05 <= sigmoid(1 - amounts[-2] / 2)
    assert found.reason == "the probability is below 0.05"
    assert found.end == -amounts[-1]


def test_it_stops_where_the_class_is_certain_or_has_changed_enough() -> None:
    found = run(1, lambda amount: sigmoid(amount / 2))
    assert found.reason == "the probability is above 0.95"
    assert sigmoid(found.end / 2) > 0.95
    enough = run(-1, lambda amount: 0.93 + amount / 30)
    assert enough.reason == "the probability has changed by 0.8"
    assert enough.end == pytest.approx(enough.tried[-1].amount)


def test_it_stops_before_the_output_turns_round() -> None:
    found = run(-1, lambda amount: 0.5 + 0.01 * abs(amount + 4))
    assert found.reason == "the output stopped moving"
    assert -4 - 0.7 < found.end < -3  # the last step on which it fell
    assert abs(found.tried[-1].amount) > abs(found.end)


def test_it_stops_before_the_ct_has_changed_too_much() -> None:
    found = run(1, lambda amount: 0.3 + amount / 1000, lambda amount: abs(amount) / 100)
    assert found.reason == "the CT would change by more than 5%"
    assert found.end <= 5 < found.tried[-1].amount


def test_a_first_step_too_long_is_shortened() -> None:
    found = run(1, lambda amount: 0.5 + 0.1 * amount - amount**2)  # rises up to 0.05
    assert [tried.amount for tried in found.tried[:3]] == pytest.approx([1, 0.25, 0.0625])
    assert 0 < found.end < 0.1


def test_an_output_that_does_not_move_is_said() -> None:
    for still in (lambda amount: 0.5, lambda amount: 0.5 - abs(amount)):
        found = run(1, still)
        assert found.end == 0
        assert found.reason == "the output stopped moving"
    assert amounts_of(found, 10) == []


def test_frames_are_those_of_the_search_or_even_ones() -> None:
    found = run(1, lambda amount: 0.3 + amount / 1000, lambda amount: abs(amount) / 1000)
    amounts = amounts_of(found, 5)
    assert len(amounts) == 5
    assert amounts[-1] == found.end
    assert set(amounts) <= {tried.amount for tried in found.tried}
    assert amounts_of(Found(-2.0, "asked"), 4) == pytest.approx([-0.5, -1, -1.5, -2])
