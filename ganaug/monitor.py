"""Training monitor: findings from the history, the actions they trigger, and their explanation for a QA engineer.

The losses say nothing about quality, so FID, KID and the variety of samples, measured now and then, join the rows.
All of it is a function of the history, which a checkpoint holds: a resumed training is watched no differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ganaug.symptoms import CHECKS, STRIDE, WINDOW, Row, Rows, Span, merged

COLLAPSED, FEW_MODES = 0.3, 0.35  # spread of samples and recall of modes, real images having 1
COPYING = 0.5  # authenticity of samples over that of real images among each other
SUSTAINED_SCORES, SUSTAINED_ROWS = 4, 60  # after which collapse and divergence end training
CLEARLY_WORSE = 2.0  # ratio of the last FID to the best one from which the best generator is used


@dataclass(frozen=True)
class Finding:
    """What was seen between two steps; `rows` of the history show it, and `open` says whether the last of them does."""

    kind: str
    first: int
    last: int
    figure: float
    rows: int = 0
    open: bool = False


@dataclass(frozen=True)
class Outcome:
    """How training ended: where, by which finding if before its time, and the step of the generator in use."""

    step: int
    stopped: str = ""
    kept: int | None = None  # none: that of the last step


def watch(history: Rows, failures: Sequence[int] = (), *, wasserstein: bool = False) -> list[Finding]:
    """Findings in a history, in order of their first step.

    Args:
        history: rows with `step`, `loss_d`, `loss_g`, `score_real`, `score_fake`, `accuracy`, `gradient_g`, some of
            them with `fid`, `kid`, `spread`, `modes`, `authenticity`, `authenticity_real`. Rows with `settling` are
            passed over: there the networks still grow, or are not conditioned on the labels yet.
        failures: steps at which the losses or weights were no longer finite.
        wasserstein: scores and the generator's loss have no zero, and an accurate critic is intended.
    """
    rows = [row for row in history if not row.get("settling")]
    scored = [row for row in rows if "fid" in row or "spread" in row]
    found = [Finding("not_finite", min(failures), max(failures), len(failures), len(failures))] if failures else []
    end = (len(rows) - WINDOW) // STRIDE * STRIDE + WINDOW - 1  # of the last window
    for kind, check in CHECKS.items():
        found += [_finding(kind, rows, span, span.last >= end) for span in merged(check(rows, wasserstein))]
    for kind, figure, holds in (("mode_collapse", "spread", has_collapsed), ("copying", "authenticity", copies)):
        spans = merged(Span(i, i, row.get(figure, 1.0)) for i, row in enumerate(scored) if holds(row))
        found += [_finding(kind, scored, span, span.last == len(scored) - 1) for span in spans]
    found = [f for f in found if f.kind != "oscillation" or not any(_overlap(f, g) for g in found)]
    return sorted(found, key=lambda finding: (finding.first, finding.kind))


def _finding(kind: str, rows: Rows, span: Span, is_open: bool) -> Finding:
    first, last = (int(rows[i]["step"]) for i in (span.first, span.last))
    return Finding(kind, first, last, span.figure, span.last - span.first + 1, is_open)


def _overlap(swinging: Finding, other: Finding) -> bool:
    return other.kind == "divergence" and other.first <= swinging.last and swinging.first <= other.last


def has_collapsed(row: Row) -> bool:
    """Whether samples vary far too little, or show few of the appearance modes of real images."""
    return row.get("spread", 1.0) < COLLAPSED or row.get("modes", 1.0) < FEW_MODES


def copies(row: Row) -> bool:
    """Whether samples come far closer to training images than real images come to each other."""
    return row.get("authenticity", 1.0) < COPYING * row.get("authenticity_real", 0.0)


def reason_to_stop(history: Rows, findings: Sequence[Finding], patience: int) -> str:
    """Kind of the finding that ends training early, empty for none; `plateau` after `patience` steps without gain."""
    for finding in findings:
        if finding.kind == "divergence" and finding.open and finding.rows >= SUSTAINED_ROWS:
            return finding.kind
        if finding.kind == "mode_collapse" and finding.open and finding.rows >= SUSTAINED_SCORES:
            *before, last = [row.get("spread", 0.0) for row in history if has_collapsed(row)][-SUSTAINED_SCORES:]
            if last <= 1.1 * max(before):  # it does not recover
                return finding.kind
    scored = [row for row in history if {"fid", "kid"} <= row.keys() and not row.get("settling")]
    own = [row for row in scored if not copies(row)]  # to learn the images by heart is no gain
    if not own:
        return ""
    gained = max(min(own, key=lambda row: row[score])["step"] for score in ("fid", "kid"))
    return "plateau" if scored[-1]["step"] - gained >= patience else ""


def is_better(row: Row, best: Row | None) -> bool:
    """Whether the generator that was scored in `row` is to be kept instead of the one scored in `best`."""
    if "fid" not in row or row.get("settling") or has_collapsed(row) or copies(row):
        return False
    return best is None or row["fid"] < best["fid"]


def prefers_best(last: Row, best: Row, findings: Sequence[Finding], keep: str) -> bool:
    """Whether to use the generator scored in `best` instead of that of `last`; `keep` is auto, best or last."""
    if keep != "auto" or last["step"] <= best["step"]:
        return keep == "best" and last["step"] > best["step"]
    if has_collapsed(last) or copies(last):
        return True
    if any(finding.kind == "divergence" and finding.open for finding in findings):
        return True
    # both must say so: with few images each of them is rough
    worse = last.get("fid", 0.0) > CLEARLY_WORSE * best["fid"]
    return worse and last.get("kid", 0.0) > best.get("kid", 0.0)


SEEN = {
    "not_finite": "The numbers of training were no longer finite, {figure:.0f} time(s).",
    "divergence": "The losses grew without bound, to {figure:.3g}.",
    "oscillation": "The two networks chased one another: a score of theirs swung to and fro by {figure:.2g}.",
    "vanishing_gradients": "The generator got next to no signal to learn from: {figure:.2%} of that at the start.",
    "mode_collapse": "The generator drew nearly the same images again and again: they vary {figure:.0%} as much as "
    "real ones, or show few of their appearance modes.",
    "copying": "The generated images came close to single training images: {figure:.0%} of them kept their distance, "
    "far fewer than of real images among each other.",
    "strong_discriminator": "The discriminator was right in {figure:.1%} of all pairs of a real and a generated image; "
    "the generator learns little from that.",
    "balanced": "The two networks were well matched (the discriminator was right in {figure:.0%} of all pairs, and 50% "
    "is guessing). How good the images are, only FID, KID and a look at them tell.",
    "plateau": "FID and KID stopped improving; the best FID was {figure:.3g}.",
    "decline": "FID ended at {figure:.2g} times its best value.",
}
ADVICE = {
    "not_finite": "Halve gan.lr_g and gan.lr_d.",
    "divergence": "Halve gan.lr_g and gan.lr_d, and raise gan.r1_weight (of a wgan family: set gan.gp_weight to "
    "10, or gan.clip to 0.01).",
    "oscillation": "If the images suffer, halve gan.lr_g and gan.lr_d, or raise gan.r1_weight or gan.lecam.",
    "vanishing_gradients": "Set gan.saturating to false, halve gan.lr_d, or set gan.instance_noise to 0.1.",
    "mode_collapse": "More images of the class help most; else halve gan.lr_g, set gan.lecam to 0.1, or use "
    "gan.scope=shared.",
    "copying": "More images of the class help most; else take fewer gan.steps or a smaller gan.width, and keep "
    "gan.diffaugment on.",
    "strong_discriminator": "Keep gan.diffaugment on; halve gan.lr_d, raise gan.r1_weight, or set "
    "gan.label_smoothing or gan.instance_noise to 0.1.",
    "plateau": "Fewer gan.steps will do; a larger gan.patience lets it go on.",
    "decline": "Fewer gan.steps will do.",
}


def explain(finding: Finding, outcome: Outcome) -> str:
    """A finding in plain sentences: what was seen, what was done, and which key of the configuration may mend it."""
    where = f"Steps {finding.first} to {finding.last}" if finding.last > finding.first else f"Step {finding.first}"
    parts = [f"{where}: {SEEN[finding.kind].format(figure=finding.figure)}", _done(finding, outcome)]
    return " ".join(part for part in [*parts, ADVICE.get(finding.kind, "")] if part)


def _done(finding: Finding, outcome: Outcome) -> str:
    done = []
    if finding.kind == "not_finite":
        done.append("Training went back to its last good state and on at half the learning rates, three times at most.")
    if finding.kind == outcome.stopped:
        done.append(f"Training was stopped at step {outcome.step}.")
    if outcome.kept is not None and finding.kind in ("decline", "plateau", outcome.stopped):
        done.append(f"The generator of step {outcome.kept} is used.")
    elif finding.open and finding.kind in ("mode_collapse", "copying") and outcome.kept is not None:
        done.append(f"The generator of step {outcome.kept}, from before, is used.")
    return " ".join(done) or ("" if finding.kind == "balanced" else "Training was not stopped for it.")
