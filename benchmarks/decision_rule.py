"""What a part costs by how probabilities become answers: `python -m benchmarks.decision_rule --help`.

Classifiers are trained on the few rendered images of `benchmarks.verdict`'s case with costs, rules are fitted on images
held out of such trainings (two or five folds), and the expected cost is taken on images that nothing has seen.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from joblib import Memory, Parallel, delayed
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from benchmarks.runs import table
from benchmarks.verdict import CLASSES, POPULATION, UNEQUAL, USED, population
from classifiers.crossfit import repeated_folds
from classifiers.decision_rule import LIKELIEST, DecisionRule, decision_rule
from classifiers.endpoint import Costs, Endpoint, expected_cost
from classifiers.fitting import Recipe, fit, predict

Floats, Ints = NDArray[np.float64], NDArray[np.int64]
Answers = Callable[[Floats], Ints]
GOOD, UNSEEN, SEEDS = CLASSES.index("good"), 300, 2  # unseen images a class; classifiers that are judged on them
PRICES = {"250 : 1.5, 5 %": (250, 1.5, 0.05), "250 : 1.5, 0.2 %": (250, 1.5, 0.002), "10 : 1, 5 %": (10, 1, 0.05)}


def empirical(endpoint: Endpoint, probabilities: Floats, truth: Ints) -> Answers:
    """The threshold of least cost on the held-out images themselves, the middle of all such (Sheng and Ling 2006)."""
    steps = np.unique([0.0, *probabilities[:, GOOD], 1.0])
    rules = [DecisionRule(GOOD, float(threshold)) for threshold in (steps[1:] + steps[:-1]) / 2]
    scores = np.array([endpoint.score(truth, rule.answers(probabilities)) for rule in rules])
    best = [rule.threshold or 0.0 for rule, score in zip(rules, scores, strict=True) if score == scores.max()]
    return DecisionRule(GOOD, float(np.mean(best))).answers


def corrected(endpoint: Endpoint, probabilities: Floats, truth: Ints) -> Answers:
    """Bayes' rule: temperature by the held-out images (Guo et al. 2017), priors of the line (Saerens et al. 2002)."""

    def tempered(p: Floats, temperature: float) -> Floats:
        return log_softmax(np.log(np.clip(p, 1e-7, 1)) / temperature, axis=1)

    def loss(log_temperature: float) -> float:
        said = np.exp(tempered(probabilities, np.exp(log_temperature)))
        return float(log_loss(truth, said, labels=range(len(CLASSES))))

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))
    stakes = np.array([endpoint.weights[GOOD] if k == GOOD else endpoint.weights[-1] for k in range(len(CLASSES))])
    share = float((truth == GOOD).mean())  # of the good parts in training, all defects taken together
    log_stakes = np.log(stakes / np.where(np.arange(len(CLASSES)) == GOOD, share, 1 - share))

    def answers(p: Floats) -> Ints:
        weighed = softmax(tempered(p, temperature) + log_stakes, axis=1)
        return DecisionRule(GOOD, 0.5).answers(weighed)

    return answers


RULES: dict[str, Callable[[Endpoint, Floats, Ints], Answers]] = {
    "likeliest class": lambda *_: LIKELIEST.answers,
    "temperature and priors": corrected,
    "threshold of least cost": empirical,
    "logistic regression": lambda *held_out: decision_rule(*held_out).answers,
}


def costs(images: dict[str, torch.Tensor], seed: int) -> dict[tuple[str, str, int], float]:
    """Expected cost on unseen images by prices, rule and number of folds, for one data set."""
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(seed)
    drawn = {label: images[label][torch.randperm(POPULATION, generator=rng)] for label in CLASSES}
    few = torch.cat([drawn[label][: UNEQUAL[label][0]] for label in CLASSES])
    labels = torch.cat([torch.full((UNEQUAL[label][0],), k) for k, label in enumerate(CLASSES)])
    unseen = torch.cat([drawn[label][USED:][:UNSEEN] for label in CLASSES])
    truth, recipe, n = np.repeat(np.arange(len(CLASSES)), UNSEEN), Recipe(steps=240, policy="flips_light"), len(CLASSES)
    judged = [predict(fit(few, labels, recipe, classes=n, seed=100 + s), unseen).double().numpy() for s in range(SEEDS)]
    found = {}
    for folds in (2, 5):
        said = np.zeros((len(few), n))
        (parts,) = repeated_folds(labels.numpy(), np.arange(len(few)), splits=folds, repeats=1, seed=seed)
        for i, (train, held_out) in enumerate(parts):
            model = fit(few[train], labels[train], recipe, classes=n, seed=i)
            said[held_out] = predict(model, few[held_out]).double().numpy()
        for prices, (miss, false_reject, prevalence) in PRICES.items():
            endpoint = expected_cost(n, good=GOOD, prevalence=prevalence, costs=Costs(miss, false_reject))
            for name, rule in RULES.items():
                answers = rule(endpoint, said, labels.numpy())
                score = endpoint.score(truth, np.stack([answers(p) for p in judged]))
                found[prices, name, folds] = endpoint.figure(score)
    return found


def main() -> None:
    """Print mean cost of a part and its standard error over the data sets, as a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=8)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/decision_rule"))
    options = parser.parse_args()
    drawn = Memory(options.out, verbose=0).cache(population)
    images = {label: drawn(label) for label in CLASSES}
    from benchmarks.decision_rule import costs as by_name  # that of `__main__` would be pickled with all of torch

    found = Parallel(n_jobs=options.at_once)(delayed(by_name)(images, seed) for seed in range(options.sets))
    columns = defaultdict[tuple[str, int], list[str]](list)
    for prices, name, folds in found[0]:
        of_sets = [one[prices, name, folds] for one in found]
        error = np.std(of_sets, ddof=1) / len(of_sets) ** 0.5
        columns[name, folds].append(f"{np.mean(of_sets):.2f} ± {error:.2f}")
    rows = [[name, str(folds), *cells] for (name, folds), cells in sorted(columns.items())]
    print("\n".join(table(["answers", "folds", *PRICES], rows)))


if __name__ == "__main__":
    main()
