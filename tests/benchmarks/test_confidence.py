"""The rules on confidence, and what the size of an exported image tells."""

import torch

from benchmarks.confidence import RULES, measure, of_classes
from benchmarks.merged_size import at_generators_size, told_by_sharpness
from tests import tiny


def pictures(first_seed: int, count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    images = [
        torch.from_numpy(tiny.texture(name, first_seed + i))[None] for name in tiny.TEXTURES for i in range(count)
    ]
    return torch.stack(images), torch.arange(len(tiny.TEXTURES)).repeat_interleave(count)


def test_stricter_rules_accept_no_more() -> None:
    shares = measure(pictures(0), pictures(100), tiny.settings(), 0)
    loose = shares["0.2 and more"]
    assert shares.keys() == RULES.keys()
    assert all(own <= loose[0] and other <= loose[1] for own, other in shares.values())


def test_classes_are_numbered_anew() -> None:
    images, labels = pictures(0)
    chosen, renumbered = of_classes((images, labels), (1, 2), 4)
    assert renumbered.tolist() == [0] * 4 + [1] * 4 and torch.equal(chosen[4:], images[labels == 2][:4])


def test_sharpness_tells_images_of_another_size_apart_and_no_others() -> None:
    images, labels = pictures(0, 12)
    grain = images[labels == 1]
    assert told_by_sharpness(grain, at_generators_size(grain)) == 1
    assert told_by_sharpness(grain, grain) == 0.5
