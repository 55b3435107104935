"""A class scorer that needs seconds: logistic regression on an extractor's features."""

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

FOLDS = 5
STEPS = 1000


def class_probabilities(features: Tensor, labels: Tensor, unseen: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
    """Fit on labelled features and score them, each out of its fold, and unseen ones.

    `features` [N, D], `labels` int64 [N], at least two images of each of at least two classes, `unseen` [M, D].
    Returns float64 [N, K] and float64 [M, K], classes in the order of their labels.

    Raises:
        ValueError: one class, or a class with a single image.
    """
    counts = labels.bincount()
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError(f"a class scorer needs two images of each of two classes, got {sorted(counts.tolist())}")
    x, y = features.double().numpy(), labels.numpy()
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=seed)
    held_out = cross_val_predict(LogisticRegression(max_iter=STEPS), x, y, cv=folds, method="predict_proba")
    fitted = LogisticRegression(max_iter=STEPS).fit(x, y)
    return torch.from_numpy(held_out), torch.from_numpy(fitted.predict_proba(unseen.double().numpy()))
