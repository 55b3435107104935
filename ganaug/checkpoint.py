"""The state of a training: everything that a resume needs to go on bit for bit (on the CPU)."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ganaug.hacks import Anchors
from ganaug.optimizers import load_optimizer, optimizer_tensors

if TYPE_CHECKING:
    from ganaug.training_loop import Trainer

NETWORKS = ("generator", "discriminator", "ema")
OPTIMIZERS = ("optimizer_g", "optimizer_d")

State = tuple[dict[str, Tensor], dict[str, Any]]  # tensors, and a JSON-able record


def state_of(trainer: "Trainer") -> State:
    """Copies of all tensors, on the CPU, and the record of a training. All processes have to ask for it."""
    weights, kept = trainer.best_checkpoint.state()
    tensors = {"rng": trainer.context.gather(trainer.rng.get_state())} | with_prefix(weights, "best.")
    for name in NETWORKS:
        tensors |= with_prefix(getattr(trainer, name).state_dict(), f"{name}.")
    for name in OPTIMIZERS:
        tensors |= with_prefix(optimizer_tensors(getattr(trainer, name)), f"{name}.")
    record = {
        "family": trainer.family.name,
        "spec": asdict(trainer.spec),
        "options": asdict(trainer.options),
        "step": trainer.step,
        "seconds": trainer.seconds,
        "best_checkpoint": kept,
        "rates": [getattr(trainer, name).param_groups[0]["lr"] for name in OPTIMIZERS],
        "anchors": asdict(trainer.updates.anchors),
        "history": list(trainer.history),
    }
    return {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in tensors.items()}, record


def restore(trainer: "Trainer", state: State) -> None:
    """Bring a trainer of the same family, data and options to a state."""
    tensors, record = state
    trainer.rng.set_state(tensors["rng"][trainer.context.rank].clone())  # of a view, torch crashes
    for name in NETWORKS:
        load_network(getattr(trainer, name), tensors, name)
    for name, rate in zip(OPTIMIZERS, record["rates"], strict=True):
        load_optimizer(getattr(trainer, name), prefixed(tensors, f"{name}."), rate)
    trainer.step, trainer.seconds = record["step"], record["seconds"]
    trainer.average.n_averaged.fill_(trainer.step)  # one update a step
    trainer.best_checkpoint.load(prefixed(tensors, "best."), record["best_checkpoint"])
    trainer.updates.anchors = Anchors(**record["anchors"])
    trainer.history = list(record["history"])


def load_network(network: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Give a network the weights that a state has under its name."""
    network.load_state_dict(prefixed(tensors, f"{name}."))


def prefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, such as `ema.`, by the rest of their names."""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The same tensors under longer names."""
    return {prefix + key: tensor for key, tensor in tensors.items()}
