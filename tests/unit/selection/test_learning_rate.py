"""The rate between the rates: parabola, edges, ceiling."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graft.methods.lora import LoRA
from graft.methods.lp_ft import LPFT
from graft.methods.rates import batch_factor
from graft.methods.settings import FineTuning
from graft.selection.learning_rate import (
    FACTORS,
    chosen_rate,
    doubts_of,
    larger_first,
    rate_contestants,
    rate_of_race,
    vertex_rate,
)
from graft.selection.learning_rate_range import read_curve
from graft.selection.race import Race
from graft.selection.race_standings import Standing
from graft.selection.trials import with_rate
from graft.training.schedules import rate_factor


def standing(rate: float, loss: float, *, rung: int = 1) -> Standing:
    return Standing(f"{rate:g}", rate, rung, 40, loss, 0.5, loss, 0.0, 0.0, (loss,), 1.0)


def vertex(losses: dict[float, float]) -> tuple[float, float | None, str]:
    standings = sorted((standing(r, loss) for r, loss in losses.items()), key=lambda one: one.log_loss)
    return vertex_rate(standings, {f"{r:g}": r for r in losses})


def test_a_parabola_gives_its_lowest_point() -> None:
    best, curvature = 2.2e-4, 0.3
    losses = {r: 1 + curvature / 2 * math.log(r / best) ** 2 for r in (3e-5, 1e-4, 3e-4, 1e-3)}
    rate, found, why = vertex(losses)
    assert rate == pytest.approx(best)
    assert found == pytest.approx(curvature)
    assert "parabola" in why


def test_at_an_edge_no_parabola_is_trusted() -> None:
    assert vertex({1e-4: 1.0, 3e-4: 1.1, 1e-3: 1.3})[:2] == (1e-4, None)
    assert vertex({1e-4: 1.3, 3e-4: 1.1, 1e-3: 1.0})[:2] == (1e-3, None)
    assert vertex({1e-4: 1.0, 3e-4: 1.0})[0] == 1e-4


def test_only_the_last_rung_counts() -> None:
    standings = [standing(3e-4, 1.0), standing(1e-4, 1.1), standing(1e-3, 0.1, rung=0)]
    assert vertex_rate(standings, {f"{r:g}": r for r in (1e-4, 3e-4, 1e-3)})[0] == 3e-4


def test_no_contestant_passes_the_ceiling() -> None:
    method = LoRA(settings=FineTuning())
    rates = [one.method.settings.learning_rate for one in rate_contestants(method, 1e-3, ceiling=2e-3)]
    assert rates == pytest.approx([1e-4, 1e-3 / 3, 1e-3])
    assert len(rate_contestants(method, 1e-3)) == len(FACTORS)
    assert len(rate_contestants(method, 1e-3, ceiling=1e-9)) == 1
    assert with_rate(LPFT(FineTuning(learning_rate=1.0)), None).settings.learning_rate is None


def test_a_range_test_ends_where_the_loss_rises() -> None:
    rates = np.geomspace(1e-6, 1e-2, 100)
    losses = np.where(rates < 1e-3, 1.5 - 0.3 * np.log10(rates / 1e-6), 4.0)
    found = read_curve(rates.tolist(), losses.tolist(), chance=2.3, has_diverged=False, high=1e-2)
    assert 1e-3 < found.ceiling < 3e-3
    assert found.suggestion < 1e-3
    flat = read_curve(rates.tolist(), [0.5] * 100, chance=2.3, has_diverged=False, high=1e-2)
    assert flat.ceiling == math.inf
    assert flat.as_dict()["ceiling"] is None
    apart = read_curve(rates[:50].tolist(), [0.5] * 50, chance=2.3, has_diverged=True, high=1e-2)
    assert apart.ceiling == pytest.approx(rates[49])


def test_the_rate_of_a_range_test_rises_evenly_in_its_logarithm() -> None:
    factors = [rate_factor(p, schedule="exponential", warmup_fraction=0.0) for p in (0.0, 0.5, 1.0)]
    assert factors == pytest.approx([1e-4, 1e-2, 1.0])


def test_rates_scale_with_the_batch() -> None:
    assert batch_factor(8, "adamw") == 0.5
    assert batch_factor(8, "sgd") == 0.25


def test_the_prior_is_left_only_for_a_clear_lead() -> None:
    rates = {"low": 1e-4, "prior": 3e-4, "high": 1e-3}

    def chosen(gap: float, error: float) -> float:
        prior = Standing("prior", 3e-4, 1, 40, 1 + gap, 0.5, 1 + gap, gap, error, (1 + gap,), 1.0)
        return chosen_rate([standing_of("low", 1.0), prior, standing_of("high", 2.0)], rates, centre="prior")[0]

    assert chosen(0.1, 0.07) == 3e-4
    assert chosen(0.1, 0.04) == 1e-4


def test_a_prior_that_leads_is_taken_as_it_is() -> None:
    rates = {"low": 1e-4, "prior": 3e-4, "high": 1e-3}
    field = [standing_of("prior", 1.0), standing_of("low", 1.01), standing_of("high", 2.0)]
    assert chosen_rate(field, rates, centre="prior")[0] == 3e-4  # a parabola would have gone to 2e-4


def test_the_largest_rates_that_are_not_lost_go_on() -> None:
    class Examples:
        targets = np.arange(200) % 10

    class Bed:
        examples = Examples()

    field = rate_contestants(LPFT(FineTuning()), 1e-5)  # a tenth of what is right
    losses = [1.10, 1.11, 1.13, 1.20, 1.46]  # after ten steps the smallest change looks best
    order = larger_first(Bed())  # type: ignore[arg-type]
    first = sorted(zip(field, losses, strict=True), key=lambda pair: order(*pair))
    assert [float(one.method.settings.learning_rate or 0) for one, _ in first[:3]] == pytest.approx([1e-4, 3e-5, 1e-5])
    lost = [1.10, 1.11, 1.46, 2.29, 2.30]
    first = sorted(zip(field, lost, strict=True), key=lambda pair: order(*pair))
    assert [loss for _, loss in first] == [1.46, 1.11, 1.10, 2.29, 2.30]


def standing_of(name: str, loss: float) -> Standing:
    return Standing(name, 0.0, 1, 40, loss, 0.5, loss, 0.0, 0.0, (loss,), 1.0)


def doubts(chosen: float, *, n_steps: int = 40, gap: float = 0.1, error: float = 0.01, **more: bool) -> str:
    rates = {"a": 1e-4, "b": 1e-3, "c": 1e-2}
    first = Standing("b", 1e-3, 1, n_steps, 1.0, 0.5, 1.0, 0.0, 0.0, (1.0,), 1.0)
    second = Standing("a", 1e-4, 1, n_steps, 1 + gap, 0.5, 1 + gap, gap, error, (1 + gap,), 1.0)
    third = Standing("c", 1e-2, 0, 4, 9.0, 0.5, 9.0, 0.0, 0.0, (9.0,), 1.0)  # of another rung: no tie
    return "; ".join(doubts_of([first, second, third], rates, chosen=chosen, **more))


def test_what_speaks_against_a_rate_is_said() -> None:
    assert not doubts(1e-3)
    assert doubts(1e-4) == "0.0001 is the smallest of the 3 rates tried, the best may lie below"
    assert doubts(1e-2) == "0.01 is the largest of the 3 rates tried, the best may lie above"
    assert not doubts(1e-2, is_capped=True)
    assert "runs of 4 steps are too short" in doubts(1e-3, n_steps=4)
    assert "runs of a single step are too short" in doubts(1e-3, n_steps=1)
    assert doubts(1e-3, gap=0.01, error=0.02).startswith("0.001, of least loss, is tied with 0.0001")


def test_without_time_the_prior_stays_unless_it_came_apart() -> None:
    rate_of = {"0.001": 1e-3, "0.003": 3e-3, "0.01": 1e-2}

    def race(loss: float) -> Race:
        standings = tuple(standing(rate, x, rung=0) for rate, x in ((1e-3, 1.0), (3e-3, 1.2), (1e-2, loss)))
        return Race(standings, {}, {}, "time")

    assert rate_of_race(race(1.9), rate_of, centre="0.01", n_lost_from=2.0)[0] == 1e-2
    rate, _, why = rate_of_race(race(2.0), rate_of, centre="0.01", n_lost_from=2.0)
    assert rate == 3e-3
    assert why.startswith("0.01 came apart")
