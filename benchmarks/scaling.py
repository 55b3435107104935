"""Cost of a run by the number of classes: `python -m benchmarks.scaling --help`.

Renders as many classes of blurred noise as asked for, each with a grain and a brightness of its own, and runs the job
with a generator a class and very few steps: what is measured is everything around the training. The training itself
costs its steps times the number of classes, divided by the workers.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks.runs import run_job, table
from pipeline.log import read_log

IMAGES, SIDE = 12, 32  # of a class
SETTINGS = (
    f"data.image_size={SIDE}",
    "gan.scope=per_class",
    "gan.steps=20",
    "gan.width=8",
    "generate.per_class=40",
    "filter.min_confidence=0",
    "filter.refuse_fid_ratio=1e12",
    "evaluate.arms=[classical,classical_gan]",
    "evaluate.policies=[flips]",
    "evaluate.ratios=[2]",
    "evaluate.folds=2",
    "evaluate.repeats=1",
    "evaluate.seeds=2",
    "evaluate.steps=100",
    "inspection.learning_curve=false",
    "device=cpu",
)
STAGES = ("prepare", "train", "generate", "filter", "choose", "merge", "evaluate", "report")


def render(folder: Path, classes: int) -> None:
    """Write the data set, unless it is there."""
    for i in range(classes):
        place = folder / f"defect-{i:04d}"
        if place.exists():
            continue
        rng = np.random.default_rng(i)
        along_x, along_y, level = rng.uniform(0.5, 4), rng.uniform(0.5, 4), rng.uniform(60, 200)
        pictures = []
        for _ in range(IMAGES):
            noise = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), sigmaX=along_x, sigmaY=along_y)
            pictures.append(np.clip(level + 30 * noise / noise.std(), 0, 255).astype(np.uint8))
        place.mkdir(parents=True)
        for k, picture in enumerate(pictures):
            (place / f"{k:02d}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def main() -> None:
    """Run the job for each number of classes and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[3, 12, 48])
    parser.add_argument("--out", type=Path, default=Path("out/scaling"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    rows = []
    for classes in given.classes:
        data, out = given.out / f"data-{classes}", given.out / f"run-{classes}"
        render(data, classes)
        if status := run_job(data, out, (*SETTINGS, *given.overrides)):
            raise SystemExit(status)
        rows.append(_cells(classes, out))
    print("\n".join(table(["classes", *STAGES, "seconds in all", "MB in the folder"], rows)))


def _cells(classes: int, out: Path) -> list[str]:
    # a generator's end is an event of the same name
    done = [event for event in read_log(out / "log.jsonl") if event["event"] == "done" and "generator" not in event]
    seconds = {event["stage"]: float(event["seconds"]) for event in done}
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
    spent = [seconds[stage] for stage in STAGES]
    return [str(classes), *(f"{one:.0f}" for one in spent), f"{sum(spent):.0f}", f"{size:.0f}"]


if __name__ == "__main__":
    main()
