"""Tracker of the best checkpoint: the pair of networks of the best FID, early stopping, and the training's outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ganaug.checkpoint import load_network, with_prefix
from ganaug.monitor import Finding, Outcome, copies, has_collapsed, is_better, prefers_best, reason_to_stop, watch
from ganaug.options import Options
from ganaug.symptoms import Row, Rows

YOUNG = 0.2  # share of the training before which no weights are kept: FID can be low for early mean images


@dataclass
class BestCheckpoint:
    """Keeps the averaged generator of the best FID with the discriminator of that step, and decides when to stop.

    Its state is part of every checkpoint.
    """

    options: Options
    wasserstein: bool
    failures: list[int] = field(default_factory=list)  # steps at which losses or weights were not finite
    stopped: str = ""  # the kind of finding that ended training before its time
    kept: int | None = None  # step of the generator in use, if it is not the last
    best: Row | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)  # of the networks of `best`: generator.*, discriminator.*

    def update(self, history: Rows, generator: nn.Module, discriminator: nn.Module, progress: float) -> None:
        """Update from the last row of a history, the pair it was measured on (generator averaged), and the progress."""
        if self.options.keep != "last" and progress >= YOUNG and is_better(history[-1], self.best):
            self.best = dict(history[-1])
            pair = with_prefix(generator.state_dict(), "generator.") | with_prefix(
                discriminator.state_dict(), "discriminator."
            )
            self.weights = {key: tensor.detach().clone() for key, tensor in pair.items()}
        if self.options.early_stop and not self.stopped:
            self.stopped = reason_to_stop(history, self._seen(history), self.options.patience)

    def restore_best(self, history: Rows, generators: Sequence[nn.Module], discriminator: nn.Module) -> None:
        """At the end of training: load the best weights into the networks if the last ones are clearly worse."""
        if self.best is None:
            return
        failed = self.stopped == "not_finite"
        if failed or prefers_best(history[-1], self.best, self._seen(history), self.options.keep):
            self.kept = int(self.best["step"])
            for generator in generators:
                load_network(generator, self.weights, "generator")
            load_network(discriminator, self.weights, "discriminator")

    def findings(self, history: Rows) -> list[Finding]:
        """The monitor's findings, and why training stopped early or an earlier generator is used."""
        found = self._seen(history)
        scored = [row for row in history if "fid" in row and not row.get("settling")]
        if not scored or self.best is None:
            return found
        first, last, fid = int(self.best["step"]), int(scored[-1]["step"]), self.best["fid"]
        if self.stopped == "plateau":
            found.append(Finding("plateau", first, last, fid))
        elif self.kept is not None and not self.stopped and not (has_collapsed(scored[-1]) or copies(scored[-1])):
            found.append(Finding("decline", first, last, scored[-1]["fid"] / max(fid, 1e-12)))
        return found

    def outcome(self, step: int) -> Outcome:
        return Outcome(step, self.stopped, self.kept)

    def _seen(self, history: Rows) -> list[Finding]:
        return watch(history, self.failures, wasserstein=self.wasserstein)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and a JSON-able record."""
        best = None if self.best is None else dict(self.best)
        return self.weights, {
            "failures": list(self.failures),
            "stopped": self.stopped,
            "kept": self.kept,
            "best": best,
        }

    def load(self, weights: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Go back to a `state()`."""
        self.weights, self.best = weights, record["best"]
        self.failures, self.stopped, self.kept = list(record["failures"]), record["stopped"], record["kept"]
