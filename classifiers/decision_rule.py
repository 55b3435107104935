"""From class probabilities to an answer: the likeliest class, or, where costs are stated, what costs least.

To pass a part costs a miss if it has a defect, to reject it costs a false reject if it is good. So it passes where

    P(good | part) cost_false_reject > (1 - P(good | part)) cost_miss

(Elkan 2001, "The foundations of cost-sensitive learning"), for a part of the line. What a small network says is no such
chance: it is too sure or not sure enough, and its training images are not mixed as the parts of the line. Both are
mended on images that it was not trained on: a logistic regression on the log-odds of what it says (Platt 1999,
"Probabilistic outputs for support vector machines"), in which good parts and defects weigh alike, gives the odds of a
part of which one half is good; times the odds of the line they are those above.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from classifiers.bootstrap import Floats, Ints
from classifiers.endpoint import Endpoint

CERTAIN = 1e-6  # distance from 0 and 1 at which a probability is as good as certain

PENALTY = 0.1  # of the squared slope, in images: keeps it finite where P(good) separates the held-out images


@dataclass(frozen=True)
class DecisionRule:
    """A part passes where P(`good`) is above `threshold`, in 0..1, else it is called the likeliest defect.

    Without a threshold the answer is the likeliest class.
    """

    good: int = 0
    threshold: float | None = None

    def answers(self, probabilities: ArrayLike) -> Ints:
        """Labels int64 [..., N] for probabilities [..., N, K]."""
        p = np.asarray(probabilities, np.float64)
        if self.threshold is None:
            likeliest: Ints = p.argmax(axis=-1)
            return likeliest
        defects = np.where(np.arange(p.shape[-1]) == self.good, -1.0, p)
        return np.where(p[..., self.good] > self.threshold, self.good, defects.argmax(axis=-1))


LIKELIEST = DecisionRule()
ALL_PASS, NONE_PASSES = 0.0, 1.0


def decision_rule(endpoint: Endpoint, probabilities: Floats, truth: Ints) -> DecisionRule:
    """The rule that suits an endpoint: a threshold for the expected cost, the likeliest class for balanced accuracy.

    The threshold is fitted to `probabilities` float [N, K] of images that their classifiers were not trained on, some
    of them good and some not by their `truth` int64 [N]. Where one of the two mistakes costs nothing, or P(good) tells
    nothing, all parts pass or none does, whichever is cheaper.
    """
    if endpoint.good is None:
        return LIKELIEST
    good = truth == endpoint.good
    false_reject, miss = float(endpoint.weights[endpoint.good]), float(endpoint.weights[-1])  # stakes, of all parts
    if false_reject > 0 and miss > 0:
        log_odds = logit(np.clip(probabilities[:, endpoint.good], CERTAIN, 1 - CERTAIN))
        alike = len(truth) / (2 * np.where(good, good.sum(), (~good).sum()))  # as if half of the parts were good
        fitted = LogisticRegression(C=1 / PENALTY).fit(log_odds[:, None], good, sample_weight=alike)
        slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        if slope > 0:
            return DecisionRule(endpoint.good, float(expit((np.log(miss / false_reject) - intercept) / slope)))
    return DecisionRule(endpoint.good, ALL_PASS if false_reject >= miss else NONE_PASSES)
