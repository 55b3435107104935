"""The structural rules of Ledig et al. 2016, read off the networks that are built."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from classifiers.perception import perceive
from ganaug.families.base import Made
from ganaug.families.srgan import BLOCKS, SRGAN, TransposedDense
from ganaug.losses import non_saturating_generator
from ganaug.networks import ConditionalBatchNorm2d
from ganaug.options import Options
from ganaug.spec import Spec
from ganaug.training_loop import Trainer

SPEC = Spec(32, 1, conditions=2, latent=16, width=8, conditioning_channels=1, variant="plain", scale=2)
TIED = replace(SPEC, variant="tied")


def generator(spec: Spec = SPEC) -> nn.Module:
    torch.manual_seed(0)
    return SRGAN.generator(spec)


@pytest.mark.parametrize("variant", SRGAN.variants)
@pytest.mark.parametrize(("size", "scale"), [(32, 2), (64, 2), (64, 4), (128, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_enlarges_twice_and_four_times(variant: str, size: int, scale: int, channels: int) -> None:
    spec = replace(SPEC, size=size, scale=scale, channels=channels, conditioning_channels=channels, variant=variant)
    conditioning_input = torch.rand(2, channels, size // scale, size // scale) * 2 - 1
    images = generator(spec)(torch.zeros(2, 16), torch.arange(2), conditioning_input)
    assert images.shape == (2, channels, size, size) and images.abs().max() <= 1
    assert SRGAN.discriminator(spec)(images, torch.arange(2), conditioning_input).shape == (2,)


@pytest.mark.parametrize("scale", [2, 4])
def test_residual_blocks_then_a_sub_pixel_convolution_a_doubling(scale: int) -> None:
    network = generator(replace(SPEC, size=64, scale=scale))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    doublings = {2: 1, 4: 2}[scale]
    kernels = [c.kernel_size[0] for c in convolutions]
    assert kernels == [9] + [3, 3] * BLOCKS + [3] + [3] * doublings + [9]
    assert all(c.stride == (1, 1) for c in convolutions)  # the side grows by rearranging channels alone
    shuffles = [m for m in network.modules() if isinstance(m, nn.PixelShuffle)]
    assert [m.upscale_factor for m in shuffles] == [2] * doublings
    assert [c.out_channels for c in convolutions[-1 - doublings : -1]] == [4 * 8] * doublings
    assert len([m for m in network.modules() if isinstance(m, nn.PReLU)]) == 1 + BLOCKS + doublings
    assert len([m for m in network.modules() if isinstance(m, ConditionalBatchNorm2d)]) == 2 * BLOCKS + 1
    assert not [m for m in network.modules() if isinstance(m, nn.ReLU | nn.ConvTranspose2d)]


def test_a_block_whose_convolutions_are_silent_passes_its_input_on() -> None:
    network = generator()
    block = network.get_submodule("blocks.0")
    block.get_parameter("norms.1.gain.weight").data.zero_()
    x = torch.randn(3, 8, 16, 16)
    assert block(x, torch.zeros(3).long()).equal(x)


def test_noise_changes_nothing_and_the_class_does() -> None:
    network, conditioning_input = generator().eval(), torch.rand(2, 1, 16, 16)
    images = network(torch.zeros(2, 16), torch.zeros(2).long(), conditioning_input)
    assert network(torch.ones(2, 16), torch.zeros(2).long(), conditioning_input).equal(images)
    network.get_parameter("norm.bias.weight").data[1] = 1
    assert not network(torch.zeros(2, 16), torch.ones(2).long(), conditioning_input).equal(images)


def test_the_critic_is_eight_convolutions_every_second_one_strided_and_two_dense_layers() -> None:
    critic = SRGAN.discriminator(replace(SPEC, size=64))
    layers = [m for m in critic.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in layers] == [8, 8, 16, 16, 32, 32, 64, 64]  # 64 ... 512
    assert [c.stride[0] for c in layers] == [1, 2] * 4 and {c.kernel_size for c in layers} == {(3, 3)}
    dense = [m for m in critic.modules() if isinstance(m, nn.Linear)]
    assert [(d.in_features, d.out_features) for d in dense] == [(64 * 16, 16 * 8), (16 * 8, 1)]
    assert not [m for m in critic.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    x, condition = torch.randn(2, 1, 64, 64), torch.tensor([0, 1])
    assert critic(x, condition, torch.zeros(2, 1, 32, 32)).equal(critic(x, condition, torch.ones(2, 1, 32, 32)))
    nn.init.normal_(critic.get_parameter("embedding.weight"))
    assert not torch.isclose(critic(x, condition, x), critic(x, 1 - condition, x)).any()


def tied(network: nn.Module) -> tuple[nn.Linear, TransposedDense]:
    encode, decode = network.get_submodule("bottleneck.encode"), network.get_submodule("bottleneck.decode")
    assert isinstance(encode, nn.Linear) and isinstance(decode, TransposedDense)
    return encode, decode


def test_the_tied_layers_share_one_weight_and_have_their_own_biases() -> None:
    network = generator(TIED)
    for encode, decode in (tied(network), tied(deepcopy(network)), tied(network.to(memory_format=torch.channels_last))):
        assert decode.weight is encode.weight
        assert decode.bias is not encode.bias and decode.bias.shape == (8 * 64,) and encode.bias.shape == (16,)
    matrices = [p for name, p in network.named_parameters() if name.startswith("bottleneck") and p.ndim == 2]
    assert len(matrices) == 1
    assert sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in generator().parameters()) == (
        8 * 64 * 16 + 16 + 8 * 64 + 1
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), inputs=st.integers(1, 12), outputs=st.integers(1, 12))
def test_the_transposed_layer_is_the_adjoint_of_the_dense_one(seed: int, inputs: int, outputs: int) -> None:
    torch.manual_seed(seed)
    dense = nn.Linear(inputs, outputs).double()
    back = TransposedDense(dense).double()
    nn.init.normal_(back.bias)
    x, y = torch.randn(3, inputs).double(), torch.randn(3, outputs).double()
    there, again = dense(x) - dense.bias, back(y) - back.bias
    torch.testing.assert_close((there * y).sum(1), (x * again).sum(1))


def test_the_tied_weight_is_trained_from_both_sides_and_stays_tied() -> None:
    trainer = make(replace(SRGAN.defaults, steps=3, batch=4, width=4, latent=8, variant="tied"))
    encode, decode = tied(trainer.generator)
    code = torch.randn(2, 8)
    decode(code).sum().backward()
    assert encode.weight.grad is not None and encode.weight.grad.abs().sum() > 0
    before = encode.weight.detach().clone()
    trainer.run()
    for network in (trainer.generator, trainer.ema):
        encode, decode = tied(network)
        assert decode.weight is encode.weight and not encode.weight.equal(before)
    other = make(trainer.options, seed=9)
    other.load(trainer.state())
    encode, decode = tied(other.generator)
    assert decode.weight is encode.weight and encode.weight.equal(tied(trainer.generator)[0].weight)


def make(options: Options, seed: int = 0, n: int = 12) -> Trainer:
    images = stripes(n)
    conditioning_inputs = F.avg_pool2d(images.float(), 2).round().to(torch.uint8)
    return Trainer(
        SRGAN,
        images,
        torch.arange(n) % 2,
        n_conditions=2,
        options=options,
        seed=seed,
        conditioning_inputs=conditioning_inputs,
        perceive=perceive,
    )


def stripes(n: int, size: int = 32) -> Tensor:
    """Bars of two to five pixels, each image with its own width and phase."""
    draw = torch.Generator().manual_seed(0)
    period, phase = torch.rand(n, 1, 1, 1, generator=draw) * 6 + 4, torch.rand(n, 1, 1, 1, generator=draw) * 6
    along = torch.arange(size).float().view(1, 1, 1, size)
    bars = (torch.sin(2 * torch.pi * (along + phase) / period) > 0).float().expand(-1, 1, size, -1)
    return (bars * 160 + 40 + torch.rand(n, 1, size, size, generator=draw) * 20).to(torch.uint8)


def test_it_learns_to_enlarge_better_than_interpolation() -> None:
    trainer = make(replace(SRGAN.defaults, steps=60, batch=4, width=8, latent=16, lr_g=2e-3, flips=False, r1_weight=0))
    trainer.run()
    conditioning_inputs, real = trainer.batches.conditioning_inputs, trainer.batches.images.float() / 127.5 - 1
    assert conditioning_inputs is not None
    seen = conditioning_inputs.float() / 127.5 - 1
    made = trainer.ema(torch.zeros(12, 16), torch.arange(12) % 2, seen)
    blurred = F.interpolate(seen, scale_factor=2, mode="bicubic")
    assert (made - real).square().mean() < 0.7 * (blurred - real).square().mean()


def test_the_loss_is_content_and_a_thousandth_of_the_adversarial_one() -> None:
    logits = torch.randn(8)
    torch.testing.assert_close(SRGAN.objective.generator(logits), non_saturating_generator(logits) / 1000)
    real, fake = torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    assert SRGAN.objective.content is not None and SRGAN.defaults.content_weight == 1
    for features in (lambda x: x.flatten(1), perceive, lambda x: x.mean((2, 3))):
        made = Made(fake, torch.zeros(2, 16), (torch.zeros(2).long(),), real, features)
        loss = SRGAN.objective.content(nn.Identity(), nn.Identity(), made)
        torch.testing.assert_close(loss, (features(fake) - features(real)).square().mean())


@pytest.mark.parametrize("scale", [1, 3, 8])
def test_another_scale_is_refused(scale: int) -> None:
    with pytest.raises(ValueError, match="2 or 4 times"):
        SRGAN.generator(replace(SPEC, scale=scale))


def test_the_conditioning_inputs_tell_the_scale() -> None:
    assert make(replace(SRGAN.defaults, steps=1, width=4, latent=8)).spec.scale == 2
