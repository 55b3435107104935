"""Made-up results for the report's tests."""

from typing import Any

import numpy as np

from pipeline.report import Choices, Pair, Reading, ReportData

ARMS = ("real", "balanced", "classical", "gan", "gan_unfiltered", "classical_gan")
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=https://e.org/x>',
    "$\\frac{1}$",
    "_hidden\n\x01\udc80",
    "größe 面 🙂",
]


def score(mean: float) -> dict[str, Any]:
    return {"mean": mean, "ci95": [mean - 0.02, mean + 0.02]}


def rates(miss: float) -> dict[str, Any]:
    return {
        "miss_rate": score(miss),
        "false_reject_rate": score(2 * miss),
        "missed": {},
        "miss_ppm": {"mean": 20_000 * miss, "ci95": [900.0, 3100.0]},
        "false_reject_ppm": {"mean": 1_960_000 * miss, "ci95": [90_000.0, 310_000.0]},
    }


def metrics(classes: list[str], verdict: str = "merge") -> dict[str, Any]:
    return {
        "schema": 1,
        "task": "classify",
        "endpoint": {
            "name": "balanced_accuracy",
            "better": "higher",
            "baseline": "classical",
            "augmented": "classical_gan",
            "delta": 0.06,
            "ci95": [0.013, 0.087],
            "ci_alpha": [0.008, 0.092],
            "p": 0.0109,
            "detectable": 0.031,
            "control": {"delta": 0.052, "ci95": [0.004, 0.1]},
        },
        "comparison_digest": "c0ffee" * 5,
        "comparison_number": 1,
        "alpha": 0.0304,
        "verdict": verdict,
        "reason": "With them the classifier is right more often.",
        "dataset": {
            "classes": classes,
            "image_size": 32,
            "channels": 1,
            "counts": {split: dict.fromkeys(classes, n) for split, n in (("train", 20), ("val", 0), ("test", 9))},
            "digest": "5e1f" * 16,
        },
        "classes": {
            name: {
                "generated": 30,
                "accepted": 11,
                "used": 11,
                "rejected": {"copy": 4, "low_confidence": 15},
                "fid": 12.5,
                "kid": 0.0123,
                "fid_real_vs_real": 8.25,
                "kid_real_vs_real": -0.0004,
                "fid_unfiltered": 31.75,
                "kid_unfiltered": 0.0456,
                "precision": 0.91,
                "recall": 0.72,
                "density": 0.88,
                "coverage": 0.83,
                "authenticity": 0.47,
                "features": "scattering-64",
            }
            for name in classes
        },
        "arms": {
            arm: {
                "balanced_accuracy": score(0.8 + place / 50),
                "accuracy": score(0.81 + place / 50),
                "macro_f1": score(0.79),
                "recall": dict.fromkeys(classes, 0.8),
                "seeds": [
                    {"repeat": 0, "seed": seed, "accuracy": 0.8, "macro_f1": 0.79, "balanced_accuracy": 0.8}
                    for seed in range(3)
                ],
            }
            for place, arm in enumerate(ARMS)
        },
        "gain": {
            "baseline": "classical",
            "augmented": "classical_gan",
            "accuracy": {"delta": 0.05, "ci95": [0.002, 0.077]},
            "macro_f1": {"delta": 0.05, "ci95": [0.01, 0.09]},
            "mcnemar_p": 0.0132,
            "randomisation_p": 0.0209,
            "detectable": 0.041,
            "control": {"delta": 0.042, "ci95": [0.001, 0.09]},
            "ratio": 2,
            "repeats": 1,
            "recipe": {"policy": "flips", "balanced": True, "steps": 1200, "batch": 16},
        },
        "inspection": {
            "good": classes[0],
            "prevalence": 0.02,
            "costs": {"miss": 100.0, "false_reject": 2.0},
            "kappa": 0.87,
            "baseline": rates(0.1),
            "augmented": rates(0.06),
            "change": {
                "miss_rate": {"delta": -0.04, "ci95": [-0.07, -0.01]},
                "false_reject_rate": {"delta": 0.01, "ci95": [-0.02, 0.04]},
                "miss_ppm": {"delta": -800.0, "ci95": [-1400.0, -200.0]},
                "false_reject_ppm": {"delta": 9800.0, "ci95": [-19600.0, 39200.0]},
                "saved_per_part": {"delta": 1.2345, "ci95": [-0.0104, 2.5]},
            },
        },
        "worth": {
            "share": {"mean": 0.71, "ci95": [0.105, 9.0]},
            "most": 9.0,
            "images_per_class": 20,
            "curve": [{"images": n, "accuracy": 0.7, "balanced_accuracy": 0.7} for n in (10, 20, 40)],
        },
        "seconds": {"train": 1731.0, "filter": 4.2},
    }


def report_data(classes: list[str], verdict: str = "merge") -> ReportData:
    draw = np.random.default_rng(0)

    def image() -> np.ndarray:
        return draw.integers(0, 256, (32, 32), dtype=np.uint8)

    steps = list(range(0, 2000, 5))
    estimates = dict.fromkeys(classes, (0.8, 0.7, 0.9))
    return ReportData(
        metrics=metrics(classes, verdict),
        title="steel",
        confusion={arm: draw.integers(0, 20, (len(classes), len(classes))) for arm in ARMS},
        recall_intervals=dict.fromkeys(ARMS, estimates),
        gain_recall=dict.fromkeys(classes, (0.02, -0.01, 0.05)),
        history={
            classes[0]: {
                "step": steps,
                "loss_d": [1 / (1 + step) for step in steps],
                "loss_g": [float("nan") if step == 50 else 1.0 for step in steps],
                "fid": [80.0 if step % 500 == 0 else None for step in steps],
            }
        },
        samples={name: [Pair(image(), image(), 0.31, 1.2)] for name in classes},
        unfiltered={name: [image()] for name in classes},
        reading=Reading({"files_found": 63}, ["Left out: a.png (empty file)."]),
        choices=Choices(
            "3-fold cross-validation.",
            {"none": 0.81, "flips": 0.86},
            "flips",
            ratios={1: 0.85, 2: 0.87},
            ratio=2,
        ),
        config_yaml="seed: 0\n",
        provenance={
            "date": "2026-01-02",
            "versions": {"torch": "2.9"},
            "command": "ganaug run https://me:hunter2@host/x",
        },
        warnings=["Few images a class."],
    )
