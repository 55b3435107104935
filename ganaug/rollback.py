"""Rollback to an earlier state when losses or weights are not finite."""

from typing import TYPE_CHECKING

from ganaug.checkpoint import State, restore
from ganaug.seeding import derived_seed

if TYPE_CHECKING:
    from ganaug.training_loop import Trainer

MAX_ROLLBACKS = 3


class DivergedError(RuntimeError):
    """Losses kept turning NaN or infinite after every rollback."""


def roll_back(trainer: "Trainer", good: State) -> None:
    """Return to a good state with the learning rates halved once more and another random stream.

    After `MAX_ROLLBACKS` training ends with the best generator, if early stopping is on and there is one.

    Raises:
        DivergedError: early stopping is off, or there is no best generator.
    """
    options, failures, seconds = trainer.options, [*trainer.best_checkpoint.failures, trainer.step], trainer.seconds
    trainer.best_checkpoint.failures, rollbacks = failures, len(failures)
    if rollbacks > MAX_ROLLBACKS and not (options.early_stop and good[1]["best_checkpoint"]["best"]):
        raise DivergedError(
            f"Training diverged at step {failures[-1]} after {MAX_ROLLBACKS} rollbacks; "
            "lower gan.lr_g and gan.lr_d, or raise gan.r1_weight."
        )
    restore(trainer, good)
    trainer.best_checkpoint.failures, trainer.seconds = failures, seconds
    if rollbacks > MAX_ROLLBACKS:
        trainer.best_checkpoint.stopped = "not_finite"  # and what was best so far is kept
    trainer.rng.manual_seed(derived_seed(trainer.rng.initial_seed(), rollbacks))
    for optimizer, rate in ((trainer.optimizer_g, options.lr_g), (trainer.optimizer_d, options.lr_d)):
        optimizer.param_groups[0]["lr"] = rate * 0.5**rollbacks
