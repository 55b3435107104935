"""What each family's paper prescribes, read off the networks that are built."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from ganaug.families import FAMILIES, Family, get_family
from ganaug.options import Options
from ganaug.spec import Spec
from ganaug.training import Trainer

SIZES = (32, 64, 128, 256)
LAYERS = {nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d}


def spec(size: int = 64, channels: int = 1) -> Spec:
    return Spec(size, channels, conditions=3, latent=16, width=8)


def chain(network: nn.Module) -> list[Any]:
    """Layers and non-linearities in the order in which the data passes them."""
    found: list[Any] = []
    for node in fx.symbolic_trace(network).graph.nodes:
        if node.op == "call_module":
            module = network.get_submodule(str(node.target))
            found += [module] if type(module) in LAYERS else []
            assert type(module) in {*LAYERS, nn.Embedding}
        elif node.op in ("call_function", "call_method"):
            name = node.target if isinstance(node.target, str) else node.target.__name__
            found += [name] if re.search(r"relu|tanh|sigmoid|softmax|pool|interpolate|norm", name) else []
    return found


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_the_generator_follows_dcgans_rules(name: str, size: int) -> None:
    layers = chain(get_family(name).generator(spec(size)))
    doublings = size.bit_length() - 3  # from 4x4
    kinds = [layer if isinstance(layer, str) else type(layer) for layer in layers]
    assert kinds == [nn.ConvTranspose2d, nn.BatchNorm2d, "relu"] * doublings + [nn.ConvTranspose2d, "tanh"]
    convolutions = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
    assert [c.stride for c in convolutions] == [(1, 1), *[(2, 2)] * doublings]
    weights = torch.cat([c.weight.detach().flatten() for c in convolutions])
    assert weights.mean().abs() < 1e-3 and weights.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_the_critic_is_strided_convolutions_and_a_bare_score(name: str, size: int) -> None:
    layers = chain(get_family(name).discriminator(spec(size)))
    halvings = size.bit_length() - 3  # down to 4x4
    kinds = [layer if isinstance(layer, str) else type(layer) for layer in layers]
    assert kinds == [nn.Conv2d, "leaky_relu"] * halvings + [nn.Linear]
    assert all(layer.stride == (2, 2) for layer in layers if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_critic_judges_each_image_by_itself_and_by_its_condition(family: Family) -> None:
    torch.manual_seed(0)
    critic, x, condition = family.discriminator(spec()), torch.randn(4, 1, 64, 64), torch.tensor([0, 1, 2, 0])
    nn.init.normal_(critic.get_parameter("embedding.weight"))
    scores = critic(x, condition)
    assert scores.shape == (4,)
    changed = x.clone()
    changed[1:] = 0
    torch.testing.assert_close(critic(changed, condition)[0], scores[0])
    assert not torch.isclose(critic(x, (condition + 1) % 3), scores).any()


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_generators_condition_is_heard(family: Family) -> None:
    torch.manual_seed(0)
    generator, z = family.generator(spec()), torch.randn(4, 16)
    images = generator(z, torch.zeros(4, dtype=torch.int64))
    assert images.shape == (4, 1, 64, 64) and images.abs().max() <= 1
    generator.get_parameter("norms.0.gain.weight").data[1] = 2
    assert not generator(z, torch.ones(4, dtype=torch.int64)).equal(images)


def test_wgan_gp_has_the_papers_settings() -> None:
    defaults = get_family("wgan_gp").defaults
    assert (defaults.critic_steps, defaults.gp_weight, defaults.betas) == (5, 10, (0, 0.9))
    assert defaults.r1_weight == defaults.label_smoothing == defaults.label_noise == 0
    assert get_family("wgan_gp").objective.wasserstein and not get_family("dcgan").objective.wasserstein


def test_every_family_states_its_paper() -> None:
    for name, family in FAMILIES.items():
        assert family.name == name and family.summary and re.search(r"arXiv \d{4}\.\d{4,5}", family.paper)
        assert family.min_images >= 2


def test_an_unknown_family_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'dcgna'.*dcgan, wgan_gp"):
        get_family("dcgna")


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_trains_at_every_size_in_grey_and_in_colour(family: Family, size: int, channels: int) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, channels, size, size), generator=draw).to(torch.uint8)
    options = replace(family.defaults, steps=3, batch=4, width=4, latent=8)
    trainer = Trainer(family, images, torch.arange(6) % 2, n_conditions=2, options=options, seed=0)
    trainer.run()
    tensors: dict[str, Tensor] = trainer.state()[0]
    assert trainer.step == 3 and trainer.rollbacks == 0
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    samples = trainer.sample(torch.tensor([0, 1, 1]), seed=0)
    assert samples.shape == (3, channels, size, size) and samples.dtype == torch.uint8


@pytest.mark.parametrize("option", ["r1_weight"])
def test_a_wasserstein_family_refuses_what_has_no_meaning_for_it(option: str) -> None:
    family = get_family("wgan_gp")
    options = replace(family.defaults, **{option: 0.1})
    images = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match=rf"gan\.{option}.*wgan_gp.*set it to 0"):
        Trainer(family, images, torch.zeros(4).long(), n_conditions=1, options=options, seed=0)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"rate_g": -1.0}, {"r1_weight": -0.1}, {"ema": 1.0}, {"label_smoothing": 0.5}, {"label_noise": 0.7}],
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
