"""What happens when losses or weights are no longer finite."""

from typing import TYPE_CHECKING

from ganaug.checkpoint import State, restore
from ganaug.seeding import derived_seed

if TYPE_CHECKING:
    from ganaug.training import Trainer

MAX_ROLLBACKS = 3


class DivergedError(RuntimeError):
    """Losses kept turning NaN or infinite after every rollback."""


def roll_back(trainer: "Trainer", good: State) -> None:
    """Return to a good state with the learning rates halved once more and another random stream.

    After `MAX_ROLLBACKS` it ends training, if that may end early and has a best generator to show for it.

    Raises:
        DivergedError: it has not.
    """
    options, failures, seconds = trainer.options, [*trainer.keeper.failures, trainer.step], trainer.seconds
    trainer.keeper.failures, rollbacks = failures, len(failures)
    if rollbacks > MAX_ROLLBACKS and not (options.early_stop and good[1]["keeper"]["best"]):
        raise DivergedError(
            f"Training diverged at step {failures[-1]} after {MAX_ROLLBACKS} rollbacks; "
            "lower gan.rate_g and gan.rate_d, or raise gan.r1_weight."
        )
    restore(trainer, good)
    trainer.keeper.failures, trainer.seconds = failures, seconds
    if rollbacks > MAX_ROLLBACKS:
        trainer.keeper.stopped = "not_finite"  # and what was best so far is kept
    trainer.rng.manual_seed(derived_seed(trainer.rng.initial_seed(), rollbacks))
    for optimizer, rate in ((trainer.optimizer_g, options.rate_g), (trainer.optimizer_d, options.rate_d)):
        optimizer.param_groups[0]["lr"] = rate * 0.5**rollbacks
