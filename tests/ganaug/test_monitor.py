"""Watching training: made-up histories, and real trainings that are made to fail on purpose."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from classifiers.scattering import Scattering
from ganaug import training_loop
from ganaug.families import FAMILIES, Family, get_family
from ganaug.metrics import training_scores
from ganaug.metrics.diversity import find_modes, mode_recall, relative_spread
from ganaug.monitor import (
    ADVICE,
    SEEN,
    SUSTAINED_SCORES,
    Finding,
    Outcome,
    copies,
    explain,
    has_collapsed,
    is_better,
    prefers_best,
    reason_to_stop,
    watch,
)
from ganaug.options import Options
from ganaug.rollback import MAX_ROLLBACKS, DivergedError
from ganaug.symptoms import CHECKS, SURE, WINDOW, Row, swings_of
from ganaug.training_loop import Hooks, Trainer
from tests import tiny
from tests.ganaug.test_training_loop import with_absurd_rates

DCGAN, WGAN = get_family("dcgan"), get_family("wgan_gp")
USUAL = {"loss_d": 1.36, "loss_g": 0.72, "score_real": 0.05, "score_fake": -0.05, "accuracy": 0.6, "gradient_g": 2.0}
GOOD = {"fid": 50.0, "kid": 20.0, "spread": 0.8, "modes": 0.7, "authenticity": 0.6, "authenticity_real": 0.5}


def history(n: int = 250, *, seed: int = 0, noise: float = 0.1, **change: Callable[[int], float]) -> list[Row]:
    """`n` rows, 20 steps apart, of a healthy training with some noise; `change` replaces columns, scores every 25."""
    rng = random.Random(seed)
    rows: list[dict[str, float]] = []
    for i in range(n):
        row = {"step": 20.0 * (i + 1)} | {k: v * (1 + noise * rng.gauss(0, 1)) for k, v in USUAL.items()}
        row["accuracy"] = min(max(row["accuracy"], 0.0), 1.0)
        if i % 25 == 24:
            row |= {k: v * (1 + min(noise, 0.1) * rng.gauss(0, 1)) for k, v in GOOD.items()}
        rows.append(row | {k: value(i) for k, value in change.items() if k in row})
    return rows


def kinds(rows: list[Row], **more: Any) -> set[str]:
    return {finding.kind for finding in watch(rows, **more)}


# Made-up histories


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.3), n=st.integers(0, 400))
def test_a_healthy_history_is_accused_of_nothing(seed: int, noise: float, n: int) -> None:
    rows = history(n, seed=seed, noise=noise)
    found = watch(rows)
    assert {finding.kind for finding in found} <= {"balanced"}
    assert reason_to_stop(rows, found, 10**6) == ""


def fade(i: int) -> float:
    return 0.5 ** (i / 10)


ILL: dict[str, dict[str, Callable[[int], float]]] = {
    "oscillation": {"loss_d": lambda i: 3 + 2.5 * math.sin(i / 2.5)},
    "divergence": {"loss_g": lambda i: 0.7 * 1.1**i},
    "vanishing_gradients": {"gradient_g": fade, "accuracy": lambda i: 1.0},
    "strong_discriminator": {"accuracy": lambda i: 0.99},
    "balanced": {"accuracy": lambda i: 0.5},
    "mode_collapse": {"spread": lambda i: 0.05},
    "copying": {"authenticity": lambda i: 0.1},
}


@pytest.mark.parametrize("kind", ILL)
def test_each_illness_is_seen(kind: str) -> None:
    rows = history(120, accuracy=lambda i: 0.8)
    assert kind not in kinds(rows)
    (finding,) = [f for f in watch(history(120, **ILL[kind])) if f.kind == kind]
    assert finding.open and 20 <= finding.first < finding.last == (
        2000 if kind in ("mode_collapse", "copying") else 2400
    )
    assert math.isfinite(finding.figure)


def test_every_check_can_be_said() -> None:
    assert {*CHECKS, "mode_collapse", "copying", "not_finite", "plateau", "decline"} == set(SEEN)
    assert set(SEEN) - set(ADVICE) == {"balanced"}


def test_lows_of_recall_count_as_collapse_too() -> None:
    assert not has_collapsed(GOOD) and not has_collapsed({"step": 1.0})
    assert has_collapsed(GOOD | {"modes": 0.2}) and has_collapsed(GOOD | {"spread": 0.1})


def test_an_illness_that_passes_is_told_with_its_steps() -> None:
    rows = history(250, accuracy=lambda i: 1.0 if 50 <= i < 130 else 0.6, spread=lambda i: 0.1 if i < 60 else 0.9)
    found = {finding.kind: finding for finding in watch(rows)}
    strong, collapse = found["strong_discriminator"], found["mode_collapse"]
    assert (strong.first, strong.last, strong.open) == (1020, 2600, False)
    assert (collapse.first, collapse.last, collapse.rows, collapse.open) == (500, 1000, 2, False)
    assert reason_to_stop(rows, list(found.values()), 10**6) == ""


def test_swings_that_calm_down_or_drift_are_no_oscillation() -> None:
    assert "oscillation" not in kinds(history(120, loss_d=lambda i: 1.4 + 8 * fade(i) * math.sin(i / 2.5)))
    assert "oscillation" not in kinds(history(120, loss_g=lambda i: 1 + i / 4))
    assert "oscillation" in kinds(history(250, fid=lambda i: 20.0 if i // 25 % 2 else 90.0))
    assert "oscillation" not in kinds(history(250, fid=lambda i: 50.0 if i // 25 % 2 else 90.0))


def test_single_spikes_are_no_oscillation() -> None:
    assert "oscillation" not in kinds(history(200, loss_d=lambda i: 12.0 if i % 9 == 0 else 1.3))


def test_a_wasserstein_critic_may_be_sure_and_its_scores_may_wander() -> None:
    sure = history(
        120,
        accuracy=lambda i: 1.0,
        loss_g=lambda i: -8 * i,
        score_real=lambda i: 8.0 * i + 5,
        score_fake=lambda i: 8.0 * i,
    )
    assert kinds(sure, wasserstein=True) == set()
    assert kinds(sure) == {"strong_discriminator", "divergence"}
    assert kinds(history(120, score_real=lambda i: 1.1**i, accuracy=lambda i: 0.9), wasserstein=True) == {"divergence"}


def test_what_settles_is_not_judged() -> None:
    ill = history(120, **{name: rule for change in ILL.values() for name, rule in change.items()})
    assert kinds(ill) and watch([row | {"settling": 1.0} for row in ill]) == []
    assert not is_better(GOOD | {"step": 5.0, "settling": 1.0}, None)


@settings(max_examples=25)
@given(st.sampled_from(sorted(ILL)), st.integers(40, 119), st.integers(0, 1000))
def test_what_was_said_of_the_beginning_stays_true(kind: str, cut: int, seed: int) -> None:
    rows = history(120, seed=seed, **ILL[kind])
    later = watch(rows)
    for early in watch(rows[:cut]):
        assert any((f.kind, f.first) == (early.kind, early.first) and f.last >= early.last for f in later)


@given(
    turns=st.lists(st.floats(1, 9), min_size=2, max_size=12),
    between=st.integers(0, 3),
    offset=st.floats(-100, 100),
)
def test_swings_are_the_moves_between_turning_points(turns: list[float], between: int, offset: float) -> None:
    points = [offset]
    for i, size in enumerate(turns):
        points.append(points[-1] + (size if i % 2 == 0 else -size))
    values = [offset]
    for a, b in pairwise(points):
        values += np.linspace(a, b, between + 2)[1:].tolist()
    assert swings_of(values, 0.5) == pytest.approx([b - a for a, b in pairwise(points)])
    assert swings_of(values, 1000) == []


# What is done about it


@pytest.mark.parametrize("spreads", [[0.01] * 4, [0.2, 0.1, 0.05, 0.02]])
def test_lasting_collapse_ends_training(spreads: list[float]) -> None:
    rows = history(100, spread=lambda i: spreads[i // 25])
    assert reason_to_stop(rows, watch(rows), 10**6) == "mode_collapse"
    short = rows[: 25 * (SUSTAINED_SCORES - 1)]
    assert reason_to_stop(short, watch(short), 10**6) == ""


def test_a_generator_that_recovers_goes_on() -> None:
    rows = history(100, spread=lambda i: 0.05 + 0.08 * (i // 25))
    assert watch(rows)[-1].kind == "mode_collapse" or "mode_collapse" in kinds(rows)
    assert reason_to_stop(rows, watch(rows), 10**6) == ""


def test_lasting_divergence_ends_training_and_a_burst_does_not() -> None:
    rows = history(110, loss_g=lambda i: 0.7 * 1.1**i)
    assert reason_to_stop(rows, watch(rows), 10**6) == "divergence"
    burst = history(130, loss_g=lambda i: 0.7 * 1.1 ** min(i, 70) if i < 75 else 0.7)
    assert reason_to_stop(burst, watch(burst), 10**6) == ""


def test_patience_ends_when_neither_fid_nor_kid_gains() -> None:
    def rows(kid: Callable[[int], float]) -> list[Row]:
        return history(250, noise=0, fid=lambda i: 40.0 if i == 24 else 60.0, kid=kid)

    assert reason_to_stop(rows(lambda i: 9.0 if i == 49 else 10.0), [], 4000) == "plateau"
    assert reason_to_stop(rows(lambda i: 9.0 if i == 49 else 10.0), [], 4001) == ""
    assert reason_to_stop(rows(lambda i: 9.0 if i == 224 else 10.0), [], 4000) == ""


def test_to_learn_the_training_images_by_heart_is_no_gain() -> None:
    rows = history(250, noise=0, fid=lambda i: 100.0 - i / 3, authenticity=lambda i: 0.6 if i < 100 else 0.1)
    assert reason_to_stop(rows, watch(rows), 3000) == "plateau" and reason_to_stop(rows, watch(rows), 3001) == ""
    assert reason_to_stop([row | {"authenticity": 0.1} for row in rows], [], 1) == ""


def test_the_best_is_the_lowest_fid_that_has_not_collapsed() -> None:
    best = GOOD | {"step": 500.0}
    assert is_better(best, None) and is_better(best | {"fid": 49.0}, best)
    assert not is_better(best | {"fid": 51.0}, best)
    assert not is_better(best | {"fid": 1.0, "authenticity": 0.2}, best) and copies(best | {"authenticity": 0.2})
    assert is_better(best | {"fid": 1.0, "authenticity": 0.26}, best)  # half of what real images have is enough
    assert not is_better(best | {"fid": 1.0, "spread": 0.1}, best) and not is_better({"step": 520.0}, best)


LAST, BEST = GOOD | {"step": 5000.0}, GOOD | {"step": 500.0}
DIVERGED = Finding("divergence", 4000, 5000, 99.0, 60, open=True)


@pytest.mark.parametrize(
    ("last", "findings", "keep", "expected"),
    [
        (LAST, [], "auto", False),
        (LAST | {"fid": 90.0, "kid": 40.0}, [], "auto", False),  # worse, but that may be chance
        (LAST | {"fid": 110.0, "kid": 40.0}, [], "auto", True),
        (LAST | {"fid": 110.0, "kid": 19.0}, [], "auto", False),  # KID says otherwise
        (LAST | {"spread": 0.1}, [], "auto", True),
        (LAST | {"fid": 1.0, "authenticity": 0.1}, [], "auto", True),
        (LAST, [DIVERGED], "auto", True),
        (LAST, [replace(DIVERGED, open=False)], "auto", False),
        (LAST | {"fid": 110.0, "kid": 40.0}, [DIVERGED], "last", False),
        (LAST, [], "best", True),
        (BEST, [], "best", False),
        (BEST, [DIVERGED], "auto", False),
    ],
)
def test_the_best_is_used_if_the_last_is_clearly_worse(
    last: Row, findings: list[Finding], keep: str, expected: bool
) -> None:
    assert prefers_best(last, BEST, findings, keep) is expected


def test_findings_are_told_with_what_was_done_and_what_to_set() -> None:
    collapse = Finding("mode_collapse", 500, 2000, 0.04, 4, open=True)
    said = explain(collapse, Outcome(2000, "mode_collapse", 300))
    for words in ("Steps 500 to 2000", "vary 4% as much", "stopped at step 2000", "of step 300 is used", "gan.lecam"):
        assert words in said
    assert "not stopped for it" in explain(collapse, Outcome(5000))
    assert "step 300, from before, is used" in explain(collapse, Outcome(5000, "", 300))
    assert explain(Finding("balanced", 20, 20, 0.5), Outcome(20)).startswith("Step 20: ")
    for kind in SEEN:
        text = explain(Finding(kind, 1, 9, 0.5, 2), Outcome(9))
        assert text.count("  ") == 0 and "{" not in text and len(text) < 450


def test_advice_names_keys_that_exist() -> None:
    fields = {*Options.__dataclass_fields__, "scope"}
    named = {word.strip(".,;()") for text in ADVICE.values() for word in text.split() if word.startswith("gan.")}
    assert named and {name.removeprefix("gan.").partition("=")[0] for name in named} <= fields


# Measuring variety


def test_variety_of_the_same_images_is_whole_and_of_one_image_is_none() -> None:
    rng = torch.Generator().manual_seed(0)
    conditions = torch.arange(48) % 2
    real = torch.randn(48, 4, generator=rng) + 20 * (torch.arange(48) // 2 % 3)[:, None]
    real = real.double()
    before = real.clone()
    modes = find_modes(real, conditions, seed=0)
    assert relative_spread(real, real, conditions) == pytest.approx(1)
    assert mode_recall(real, real, conditions, modes) == 1
    assert mode_recall(real + 1000, real, conditions, modes) == 1  # off altogether, but of as many looks
    one = real[conditions]  # the first image of each condition, again and again
    assert relative_spread(one, real, conditions) == 0
    assert mode_recall(one, real, conditions, modes) < 0.5
    two = torch.where((torch.arange(48) // 2 % 3 == 2)[:, None], real.roll(2, 0), real)  # a look is never made
    assert mode_recall(one, real, conditions, modes) < mode_recall(two, real, conditions, modes) < 0.8
    assert all(len(conditions[modes == mode].unique()) == 1 for mode in modes.unique())
    assert real.equal(before)


# Real trainings

N = 24
IMAGES = torch.from_numpy(np.stack([tiny.texture(("blobs", "lines")[i % 2], i) for i in range(N)]))[:, None]
CONDITIONS = torch.arange(N) % 2


def make(family: Family = DCGAN, **options: Any) -> Trainer:
    chosen = replace(family.defaults, **{"batch": 8, "width": 8, "latent": 16, **options})
    return Trainer(family, IMAGES, CONDITIONS, n_conditions=2, options=chosen, seed=0)


@pytest.fixture(scope="module")
def score() -> Callable[[Trainer], Row]:
    extractor = Scattering.fit(IMAGES)
    real = extractor(IMAGES)
    modes = find_modes(real, CONDITIONS, seed=0)

    def measure(trainer: Trainer) -> Row:
        return training_scores(extractor(trainer.sample(CONDITIONS, seed=0)), real, CONDITIONS, modes)

    return measure


def scripted(table: dict[int, dict[str, float]]) -> Callable[[Trainer], Row]:
    return lambda trainer: GOOD | table.get(trainer.step, {})


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows every 4 steps, so that a window is 160 steps."""
    monkeypatch.setattr(training_loop, "LOG_EVERY", 4)


def trained(trainer: Trainer, score: Callable[[Trainer], Row] | None, every: int = 50) -> dict[str, Finding]:
    reported: list[Finding] = []
    trainer.run(Hooks(score=score, score_every=every, finding=lambda _, finding: reported.append(finding)))
    found = {finding.kind: finding for finding in trainer.findings()}
    assert {(f.kind, f.first) for f in reported} == {(f.kind, f.first) for f in trainer.findings()}
    assert len(reported) == len(trainer.findings())
    return found


@pytest.mark.parametrize("family", [DCGAN, WGAN], ids=["dcgan", "wgan_gp"])
def test_a_healthy_training_is_left_alone(often: None, score: Callable[[Trainer], Row], family: Family) -> None:
    trainer = make(family, steps=240, n_critic=1)
    found = trained(trainer, score, every=80)
    assert set(found) <= {"balanced"}
    assert trainer.step == 240 and trainer.best_checkpoint.outcome(240) == Outcome(240)


def test_a_discriminator_that_learns_far_too_fast_is_found_too_strong(often: None) -> None:
    trainer = make(steps=200, lr_d=0.01, lr_g=1e-4, r1_weight=0.0, diffaugment="")
    found = trained(trainer, None)
    assert found["strong_discriminator"].figure > SURE and found["strong_discriminator"].open
    assert "vanishing_gradients" not in found  # the non-saturating loss is what keeps them alive
    assert "halve gan.lr_d" in explain(found["strong_discriminator"], trainer.best_checkpoint.outcome(200))


def test_the_saturating_loss_loses_its_gradient_before_a_sure_discriminator(often: None) -> None:
    trainer = make(steps=240, lr_d=0.02, lr_g=1e-4, r1_weight=0.0, diffaugment="", saturating=True)
    found = trained(trainer, None)
    assert found["vanishing_gradients"].figure < 0.01 and found["vanishing_gradients"].open
    assert "gan.saturating to false" in explain(found["vanishing_gradients"], trainer.best_checkpoint.outcome(240))


class OneImage(nn.Module):
    """A generator that is deaf to its noise."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        image: Tensor = self.generator(torch.ones_like(z), condition)
        return image


def test_a_generator_of_one_image_is_stopped(often: None, score: Callable[[Trainer], Row]) -> None:
    trainer = make(replace(DCGAN, generator=lambda spec: OneImage(DCGAN.generator(spec))), steps=400)
    collapse = trained(trainer, score, every=10)["mode_collapse"]
    assert trainer.best_checkpoint.stopped == "mode_collapse" and trainer.step == 10 * SUSTAINED_SCORES
    assert collapse.figure < 0.01 and collapse.first == 10
    assert "stopped at step 40" in explain(collapse, trainer.best_checkpoint.outcome(trainer.step))
    trainer.run(Hooks(score=score))  # stopped is stopped
    assert trainer.step == 40
    free = make(replace(DCGAN, generator=lambda spec: OneImage(DCGAN.generator(spec))), steps=60, early_stop=False)
    assert trained(free, score, every=10)["mode_collapse"].rows == 6 and free.step == 60


def test_a_critic_without_a_bound_diverges_and_is_stopped(often: None) -> None:
    """Nothing holds the critic's weights, and the generator hardly moves: the gap between the scores only grows."""
    trainer = make(WGAN, steps=600, width=4, gp_weight=0.0, n_critic=1, lr_d=5e-3, lr_g=1e-6)
    found = trained(trainer, scripted({150: {"fid": 40.0}}))
    assert found["divergence"].open and found["divergence"].figure > 50
    assert (
        trainer.best_checkpoint.outcome(trainer.step) == Outcome(trainer.step, "divergence", 150) and trainer.step < 600
    )
    said = explain(found["divergence"], trainer.best_checkpoint.outcome(trainer.step))
    assert "set gan.gp_weight" in said and "generator of step 150 is used" in said


def test_too_much_momentum_without_a_penalty_oscillates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loop, "LOG_EVERY", 8)
    trainer = make(
        steps=400, lr_d=3e-3, lr_g=1e-2, betas=(0.95, 0.99), r1_weight=0.0, width=4, diffaugment="", flips=False
    )
    found = trained(trainer, None)
    assert found["oscillation"].figure > 1
    assert trainer.step == 400  # which is told, but no reason to stop


def test_numbers_that_run_away_are_told_though_training_fails(score: Callable[[Trainer], Row]) -> None:
    trainer = make(steps=50)
    with_absurd_rates(trainer)
    with pytest.raises(DivergedError):
        trained(trainer, score)
    (finding,) = trainer.findings()
    assert finding.kind == "not_finite" and finding.figure == MAX_ROLLBACKS + 1


def strike_from(trainer: Trainer, step: int) -> None:
    def strike(*_: Any) -> None:
        if trainer.step + 1 >= step:
            next(trainer.generator.parameters()).data.fill_(math.nan)

    trainer.optimizer_g.register_step_post_hook(strike)


def test_a_training_that_breaks_late_leaves_its_best_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loop, "SNAPSHOT_EVERY", 10)
    trainer = make(steps=60)
    strike_from(trainer, 45)
    kept: dict[int, dict[str, Tensor]] = {}
    judged: dict[int, dict[str, Tensor]] = {}

    def score(trainer: Trainer) -> Row:
        kept[trainer.step] = {key: tensor.clone() for key, tensor in trainer.ema.state_dict().items()}
        judged[trainer.step] = {key: tensor.clone() for key, tensor in trainer.discriminator.state_dict().items()}
        return scripted({20: {"fid": 30.0}})(trainer)

    found = trained(trainer, score, every=10)
    assert trainer.best_checkpoint.outcome(trainer.step) == Outcome(40, "not_finite", 20)
    assert found["not_finite"].first == 46  # the step after
    assert all(tensor.equal(kept[20][key]) for key, tensor in trainer.ema.state_dict().items())
    assert all(tensor.equal(kept[20][key]) for key, tensor in trainer.generator.state_dict().items())
    assert all(tensor.equal(judged[20][key]) for key, tensor in trainer.discriminator.state_dict().items())
    assert not all(tensor.equal(judged[40][key]) for key, tensor in trainer.discriminator.state_dict().items())
    tuned = Trainer(
        DCGAN, IMAGES, CONDITIONS, n_conditions=2, options=trainer.options, seed=1, init_from=trainer.state()[0]
    )
    assert all(tensor.equal(judged[20][key]) for key, tensor in tuned.discriminator.state_dict().items())


WORSE = {"fid": 130.0, "kid": 90.0}


@pytest.mark.parametrize(
    ("table", "options", "expected"),
    [
        ({}, {}, Outcome(60)),
        ({20: {"fid": 40.0}, 60: WORSE}, {}, Outcome(60, "", 20)),
        ({10: {"fid": 9.0}, 20: {"fid": 45.0}}, {}, Outcome(60)),  # the first fifth of a training does not count
        ({20: {"fid": 40.0}, 60: WORSE}, {"keep": "last"}, Outcome(60)),
        ({30: {"fid": 40.0}}, {"keep": "best"}, Outcome(60, "", 30)),
        ({20: {"fid": 40.0}, 60: {"spread": 0.1}}, {}, Outcome(60, "", 20)),
        ({20: {"fid": 40.0, "kid": 9.0}}, {"patience": 30}, Outcome(50, "plateau")),
        ({20: {"fid": 40.0, "kid": 9.0}}, {"patience": 30, "early_stop": False}, Outcome(60)),
    ],
)
def test_what_is_kept(table: dict[int, dict[str, float]], options: dict[str, Any], expected: Outcome) -> None:
    trainer = make(**{"steps": 60, "batch": 2, "width": 4} | options)
    seen: dict[int, Tensor] = {}

    def score(trainer: Trainer) -> Row:
        seen[trainer.step] = trainer.sample(CONDITIONS, seed=1)
        return scripted(table)(trainer)

    found = trained(trainer, score, every=10)
    assert trainer.best_checkpoint.outcome(trainer.step) == expected
    assert trainer.sample(CONDITIONS, seed=1).equal(seen[expected.kept or expected.step])
    assert ("plateau" in found) == (expected.stopped == "plateau")
    assert ("decline" in found) == (expected.kept is not None and "mode_collapse" not in found)


def test_a_training_by_minutes_leaves_its_best_generator_too() -> None:
    trainer = make(steps=1_000_000, batch=2, width=4)

    def score(trainer: Trainer) -> Row:
        trainer.seconds = trainer.step  # as if a step took a second
        return scripted({10: {"fid": 9.0}, 20: {"fid": 40.0}, 60: WORSE})(trainer)

    trainer.run(Hooks(score=score, score_every=10), minutes=1)
    assert trainer.best_checkpoint.outcome(trainer.step) == Outcome(60, "", 20)
    assert {finding.kind for finding in trainer.findings()} == {"decline"}


@pytest.mark.parametrize("at", [15, 20, 35])
def test_a_resumed_training_is_watched_and_ends_no_differently(at: int) -> None:
    table = {20: {"fid": 40.0}, 40: {"spread": 0.1}, 60: WORSE}
    whole, stopped, resumed = (make(steps=60, batch=2, width=4) for _ in range(3))
    first, again = [], []
    states: list[Any] = []
    whole.run(Hooks(score=scripted(table), score_every=10, finding=lambda _, f: first.append(f)))
    stopped.run(
        Hooks(
            score=scripted(table),
            score_every=10,
            checkpoint_every=at,
            checkpoint=lambda t: states.append((t.state()[0], json.loads(json.dumps(t.state()[1])))),
            finding=lambda t, f: again.append(f) if t.step <= at else None,
        )
    )
    resumed.load(states[0])
    assert resumed.step == at
    resumed.run(Hooks(score=scripted(table), score_every=10, finding=lambda _, f: again.append(f)))
    (ours, mine), (theirs, other) = whole.state(), resumed.state()
    assert ours.keys() == theirs.keys()
    assert {key.split(".")[1] for key in ours if key.startswith("best.")} == {"generator", "discriminator"}
    assert [key for key in ours if not ours[key].equal(theirs[key])] == []
    assert mine | {"seconds": 0} == other | {"seconds": 0}
    assert first == again and whole.findings() == resumed.findings()
    assert resumed.best_checkpoint.outcome(60) == Outcome(60, "", 20)


@pytest.mark.parametrize(
    "name", [name for name, family in FAMILIES.items() if family.phase and "none" in family.conditioning_inputs]
)
def test_a_growing_generator_is_judged_once_it_has_grown(name: str) -> None:
    trainer = make(FAMILIES[name], steps=20, batch=2, width=4, n_critic=1)
    trainer.run(Hooks(score=scripted({}), score_every=1))
    settling = ["settling" in row for row in trainer.history]
    assert settling[0] and not settling[-1] and sorted(settling, reverse=True) == settling
    assert trainer.best_checkpoint.best is not None and not trainer.best_checkpoint.best.get("settling")


def test_told_labels_late_means_judged_late() -> None:
    trainer = make(steps=20, batch=2, width=4, delay_condition=0.3)
    trainer.run(Hooks(score=scripted({}), score_every=1))
    assert [row["step"] for row in trainer.history if "settling" in row] == list(range(1, 12))
    assert WINDOW > 20 and trainer.findings() == []
