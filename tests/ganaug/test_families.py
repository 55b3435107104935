"""What holds for every family; what its paper prescribes is tested in tests/ganaug/families."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganaug.families import FAMILIES, get_family
from ganaug.options import Options
from ganaug.spec import Spec
from ganaug.training_loop import Trainer
from tests.ganaug.families.examples import make, spec

# Families whose discriminator looks at one image at a time, unlike those with statistics over the batch.
ONE_BY_ONE = ("gan", "dcgan", "wgan_gp", "cgan")


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_the_critic_judges_each_image_by_itself_and_by_its_condition(name: str) -> None:
    torch.manual_seed(0)
    critic, x, condition = get_family(name).discriminator(spec()), torch.randn(4, 1, 64, 64), torch.tensor([0, 1, 2, 0])
    for module in critic.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)  # a projection starts at zero
    scores = critic(x, condition)
    assert scores.shape == (4,)
    changed = x.clone()
    changed[1:] = 0
    torch.testing.assert_close(critic(changed, condition)[0], scores[0])
    assert not torch.isclose(critic(x, (condition + 1) % 3), scores).any()


def test_every_family_states_its_paper() -> None:
    for name, family in FAMILIES.items():
        assert family.name == name and family.summary and re.search(r"arXiv \d{4}\.\d{4,5}", family.paper)
        assert family.min_images >= 2


def test_an_unknown_family_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'dcgna'.*dcgan, .*wgan_gp"):
        get_family("dcgna")


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("size", "channels"), [(32, 3), (64, 1), (128, 3)])
def test_it_trains_at_every_size_in_grey_and_in_colour(name: str, size: int, channels: int) -> None:
    trainer = make(FAMILIES[name], size=size, channels=channels, steps=3, batch=4, width=4)
    trainer.run()
    tensors: dict[str, Tensor] = trainer.state()[0]
    assert trainer.step == 3 and trainer.rollbacks == 0
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    samples = trainer.sample(torch.tensor([0, 1, 1]), seed=0)
    assert samples.shape == (3, channels, size, size) and samples.dtype == torch.uint8


@pytest.mark.parametrize("name", ["wgan", "wgan_gp"])
@pytest.mark.parametrize("option", ["r1_weight"])
def test_a_wasserstein_family_refuses_what_has_no_meaning_for_it(name: str, option: str) -> None:
    family = get_family(name)
    options = replace(family.defaults, **{option: 0.1})
    images = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match=rf"gan\.{option}.*{name}.*set it to 0"):
        Trainer(family, images, torch.zeros(4).long(), n_conditions=1, options=options, seed=0)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"lr_g": -1.0}, {"r1_weight": -0.1}, {"ema": 1.0}, {"label_smoothing": 0.5}, {"label_noise": 0.7}],
)
def test_an_option_out_of_range_is_named(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"gan\.{name} = .*must be"):
        Options(**wrong)


@pytest.mark.parametrize(
    ("size", "channels", "word"), [(48, 1, "size 48"), (512, 1, "size 512"), (64, 2, "2 channels")]
)
def test_an_impossible_shape_is_named(size: int, channels: int, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Spec(size, channels, 1, 8, 8)
