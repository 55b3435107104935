import pytest
import torch
from torch import Tensor

from classifiers.policies import POLICIES, Augmenter


def noise(n: int, channels: int, size: int = 32) -> Tensor:
    return torch.randint(0, 256, (n, channels, size, size), generator=torch.Generator().manual_seed(n)).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_is_seeded_and_keeps_the_contract(policy: str, channels: int) -> None:
    images = noise(8, channels)
    kept = images.clone()
    first, second = (Augmenter(policy, 32, seed=3) for _ in range(2))
    augmented = first(images)
    assert augmented.dtype == torch.uint8
    assert augmented.shape == images.shape
    assert torch.equal(images, kept), "the images in memory must stay as they are"
    assert torch.equal(augmented, second(images))
    if policy == "none":
        assert torch.equal(augmented, images)
    else:
        assert not torch.equal(augmented, images)
        assert not torch.equal(augmented, first(images)), "the next batch must draw anew"
        assert not torch.equal(augmented, Augmenter(policy, 32, seed=4)(images))


@pytest.mark.parametrize(("policy", "looks"), [("flips", 4), ("flips_rotate", 8)])
def test_symmetries_are_all_drawn_and_nothing_else(policy: str, looks: int) -> None:
    image = noise(1, 1)[0, 0]
    symmetries = [t for k in range(4) for t in (image.rot90(k), image.rot90(k).flip(1))]
    augmented = Augmenter(policy, 32, seed=0)(image.expand(128, 1, 32, 32))
    seen = {next(i for i, s in enumerate(symmetries) if torch.equal(a[0], s)) for a in augmented}
    assert len(seen) == looks


def test_unknown_policy_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'flops'.*did you mean 'flips'"):
        Augmenter("flops", 32, seed=0)
