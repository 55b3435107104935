"""The primary endpoint: the one figure that decides, in the choice among options as in the verdict.

Where costs are stated it is the expected cost of a part, else balanced accuracy: the mean over the classes of their
recall (Brodersen et al. 2010, "The balanced accuracy and its posterior distribution"), in which a rare class counts as
much as a common one. Both are a weighted sum over strata s of the test images, larger is better:

    score = sum_s weights_s share_s,    share_s = images of s of which something acceptable was said / images of s

For balanced accuracy the strata are the classes with test images, each of the same weight. The expected cost has two,
defective parts of weight prevalence cost_miss and good parts of weight (1 - prevalence) cost_false_reject, and is what
the score lacks to the sum of the weights. Good parts and defects are weighted by their share on the line, not in the
test set; kinds of defects are taken to be mixed as in the test set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classifiers.bootstrap import Floats, Ints

Bools = NDArray[np.bool_]
EndpointName = Literal["balanced_accuracy", "expected_cost"]


@dataclass(frozen=True)
class Costs:
    """What a missed defect and a falsely rejected good part cost, in one currency."""

    miss: float
    false_reject: float


@dataclass(frozen=True)
class Endpoint:
    """What is counted and how it is weighted; K classes, S strata.

    `acceptable` bool [K, K] says by truth and prediction whether this was a right thing to say, `strata` float64 [S, K]
    is 1 where a stratum holds a class, `weights` float64 [S]. `by_class` has further weights [S] for each class that
    must not be harmed: its recall, or the expected cost if all defects of the line were of that class. `good` is the
    class of good parts where the endpoint is their cost.
    """

    name: EndpointName
    acceptable: Bools
    strata: Floats
    weights: Floats
    by_class: Mapping[int, Floats]
    good: int | None = None

    @property
    def most(self) -> float:
        """The score of a classifier without a fault."""
        return float(self.weights.sum())

    def figure(self, score: float) -> float:
        """A score as the figure that `name` says: a share in 0..1, or a cost, of which less is better."""
        return score if self.name == "balanced_accuracy" else self.most - score

    def score(self, truth: ArrayLike, predictions: ArrayLike) -> float:
        """Score of predictions int64 [N] (or [seeds, N], their mean); NaN where a stratum has no image."""
        truth, predictions = np.asarray(truth), np.atleast_2d(predictions)
        return float(Tally(self.acceptable, truth, predictions, np.arange(len(truth))).scores(self)[:, 0, 0].mean())


def balanced_accuracy(truth: ArrayLike, classes: int) -> Endpoint:
    """Mean recall over the classes that `truth` int64 [N] holds."""
    present = np.bincount(np.asarray(truth), minlength=classes) > 0
    single = np.eye(classes)
    return Endpoint("balanced_accuracy", single > 0, single, present / present.sum(), dict(enumerate(single)))


def expected_cost(classes: int, *, good: int, prevalence: float, costs: Costs) -> Endpoint:
    """Expected cost of a part; a defect that is taken for another is no miss. `prevalence` is a share in 0..1."""
    single = np.eye(classes)
    fine = single[good]
    acceptable = np.tile(fine == 0, (classes, 1))
    acceptable[good] = fine > 0
    passed, caught = (1 - prevalence) * costs.false_reject, prevalence * costs.miss
    worst = {k: np.append(passed * fine + caught * single[k], 0.0) for k in range(classes) if k != good}
    strata = np.vstack([single, 1 - fine])
    return Endpoint("expected_cost", acceptable, strata, np.append(passed * fine, caught), worst, good)


def money(value: float, sign: str = "") -> str:
    """An amount in the currency of the costs: three significant digits, whole from 1000 on; `sign` is `+` or empty."""
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.3g}"


class Tally:
    """By group, seed and class, what every score is a function of: a resample is then one matrix product."""

    def __init__(self, acceptable: Bools, truth: Ints, predictions: Ints, groups: Ints) -> None:
        """Count: acceptable bool [K, K], truth int64 [N], predictions int64 [seeds, N], groups int64 [N]."""
        _, group = np.unique(groups, return_inverse=True)
        self.groups, classes = int(group.max()) + 1, len(acceptable)
        seeds = np.arange(len(predictions))[:, None]
        self.found = np.zeros((self.groups, len(predictions), classes))  # acceptable answers
        np.add.at(self.found, (group[None], seeds, truth[None]), acceptable[truth[None], predictions])
        self.truth = np.zeros((self.groups, classes))
        np.add.at(self.truth, (group, truth), 1.0)

    def scores(self, endpoint: Endpoint, weights: Floats | None = None) -> Floats:
        """Scores under group weights [R, G] (None: 1 each): [seeds, R, 1 + C], the endpoint, then those `by_class`.

        A stratum that a resample leaves out is left out of its score; NaN where there is nothing else, or where the
        whole test set lacks a stratum.
        """
        weights = np.ones((1, self.groups)) if weights is None else weights
        criteria = _criteria(endpoint)
        found = np.tensordot(weights, self.found, axes=1).swapaxes(0, 1) @ endpoint.strata.T  # [seeds, R, S]
        images = weights @ self.truth @ endpoint.strata.T  # [R, S]
        present = images > 0
        share = np.where(present, found / np.maximum(images, 1.0), 0.0)
        known = present @ criteria.T  # [R, 1 + C], the weights that are left
        lacking = (self.truth.sum(axis=0) @ endpoint.strata.T == 0) @ criteria.T > 0
        whole = np.where((known > 0) & ~lacking, criteria.sum(axis=1) / np.where(known > 0, known, 1.0), np.nan)
        scores: Floats = (share @ criteria.T) * whole
        return scores

    def image_weights(self, endpoint: Endpoint) -> Floats:
        """What one image of each class adds to the scores: [1 + C, K]."""
        images = np.maximum(self.truth.sum(axis=0) @ endpoint.strata.T, 1.0)
        weights: Floats = (_criteria(endpoint) / images) @ endpoint.strata
        return weights


def _criteria(endpoint: Endpoint) -> Floats:
    """Weights of all scores, [1 + C, S]."""
    return np.stack([endpoint.weights, *endpoint.by_class.values()])
