"""The structural rules of Isola et al. 2016, read off the networks that are built."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from ganaug.families.base import Made
from ganaug.families.pix2pix import PIX2PIX, NoiseDropout
from ganaug.losses import bce_discriminator, r1_penalty
from ganaug.sampling import generate
from ganaug.spec import Spec
from ganaug.training_loop import Trainer

SPEC = Spec(64, 1, conditions=3, latent=16, width=8, conditioning_channels=1)


def built(builder: Any, spec: Spec = SPEC) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = builder(spec)
    return network


def given_inputs(n: int = 4, spec: Spec = SPEC) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, conditions, conditioning inputs."""
    draw = torch.Generator().manual_seed(1)
    conditioning_inputs = (torch.rand(n, 1, spec.size, spec.size, generator=draw) > 0.9).float() * 2 - 1
    return torch.randn(n, spec.latent, generator=draw), torch.arange(n) % spec.conditions, conditioning_inputs


def shapes_along(network: nn.Module, *inputs: Tensor) -> dict[str, tuple[int, ...]]:
    """Name of each layer to the shape `[C, H, W]` of what it gives."""
    found: dict[str, tuple[int, ...]] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda _m, _i, out, name=name: found.update({name: tuple(out.shape[1:])}))
    network(*inputs)
    return found


@pytest.mark.parametrize(("size", "depth"), [(16, 4), (32, 5), (64, 6), (128, 7)])
def test_the_encoder_halves_down_to_one_pixel_and_the_decoder_mirrors_it(size: int, depth: int) -> None:
    spec = replace(SPEC, size=size)
    unet = built(PIX2PIX.generator, spec)
    shapes = shapes_along(unet, *given_inputs(2, spec))
    widths = [8 * min(2**i, 8) for i in range(depth)]  # C64-C128-C256-C512-C512-...
    assert [shapes[f"downs.{i}"] for i in range(depth)] == [
        (width, size >> i + 1, size >> i + 1) for i, width in enumerate(widths)
    ]
    assert shapes[f"downs.{depth - 1}"][1:] == (1, 1)
    outputs = [*reversed(widths[:-1]), 1]
    assert [shapes[f"ups.{i}"] for i in range(depth)] == [(w, 2 << i, 2 << i) for i, w in enumerate(outputs)]
    for layer in unet.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            assert layer.kernel_size == (4, 4) and layer.stride == (2, 2)
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_every_decoder_layer_but_the_innermost_sees_its_mirror_image_in_the_encoder() -> None:
    unet = built(PIX2PIX.generator)
    downs, ups = unet.get_submodule("downs"), unet.get_submodule("ups")
    assert [up.in_channels for up in ups] == [64, *(2 * up.out_channels for up in list(ups)[:-1])]
    graph = fx.symbolic_trace(unet).graph
    joined = [node for node in graph.nodes if node.op == "call_function" and node.target is torch.cat]
    assert len(joined) == len(downs) - 1
    # the outermost skip carries pixels: the conditioning input reaches the last layer past the bottleneck
    seen: list[Tensor] = []
    ups[-1].register_forward_hook(lambda _m, inputs, _out: seen.append(inputs[0]))
    z, condition, conditioning_input = given_inputs(1)
    unet(z, condition, conditioning_input)
    first = nn.functional.leaky_relu(downs[0](conditioning_input), 0.2)
    torch.testing.assert_close(seen[0][:, -8:], first)


def test_leaky_relu_down_relu_up_tanh_out_and_no_normalisation_on_the_first_layer_or_at_one_pixel() -> None:
    calls = [n for n in fx.symbolic_trace(built(PIX2PIX.generator)).graph.nodes if n.op.startswith("call_")]
    names = [getattr(node.target, "__name__", str(node.target)) for node in calls]
    kept = [name for name in names if name in ("leaky_relu", "relu", "tanh", "instance_norm")]
    down = ["leaky_relu"] + ["instance_norm", "leaky_relu"] * 4 + ["leaky_relu"]
    assert kept == down + ["instance_norm", "relu"] * 5 + ["tanh"]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), channels=st.integers(1, 64), uniform=st.booleans())
def test_dropout_is_read_off_the_noise_at_test_time_too(seed: int, channels: int, uniform: bool) -> None:
    torch.manual_seed(seed)
    dropout = NoiseDropout(16, channels).eval()
    z = torch.rand(200, 16) * 2 - 1 if uniform else torch.randn(200, 16)
    x = torch.ones(200, channels, 2, 2)
    dropped = dropout(x, z)
    assert set(dropped.unique().tolist()) <= {0.0, 2.0}  # inverted dropout at rate 1/2
    assert 0.35 < dropped.mean().item() / 2 < 0.65
    assert (dropped.amax((2, 3)) == dropped.amin((2, 3))).all()  # whole channels
    assert (dropout(x, -z) + dropped == 2).all() and dropout(x, z).equal(dropped)
    assert dropout.train()(x, z).equal(dropped)


def test_the_three_innermost_decoder_blocks_drop_and_the_masks_are_saved() -> None:
    unet = built(PIX2PIX.generator)
    assert [module.directions.shape[1] for module in unet.get_submodule("dropouts")] == [64, 64, 32]
    assert {f"dropouts.{i}.directions" for i in range(3)} <= unet.state_dict().keys()


def test_an_image_depends_on_its_own_noise_class_and_conditioning_input_alone() -> None:
    unet = built(PIX2PIX.generator).eval()
    for name, weight in unet.named_parameters():
        weight.data *= 1 if "gain" in name else 3
    z, condition, conditioning_input = given_inputs()
    images = unet(z, condition, conditioning_input)
    assert images.shape == (4, 1, 64, 64) and images.abs().max() <= 1
    other_z, _, other_input = given_inputs(8)
    beside_others = [torch.cat([a[:1], b[5:]]) for a, b in ((z, other_z), (conditioning_input, other_input))]
    mixed = unet(beside_others[0], torch.cat([condition[:1], condition[:3]]), beside_others[1])
    torch.testing.assert_close(mixed[:1], images[:1])
    assert unet.train()(z, condition, conditioning_input).equal(images)  # nothing differs while training
    assert not torch.isclose(unet(-z, condition, conditioning_input), images).all((1, 2, 3)).any()
    assert not torch.isclose(unet(z, condition, conditioning_input.flip(3)), images).all((1, 2, 3)).any()
    unet.get_parameter("norms.0.bias.weight").data[2] = 1
    assert not unet(z, torch.full((4,), 2), conditioning_input).equal(
        unet(z, torch.zeros(4).long(), conditioning_input)
    )


@settings(max_examples=5)
@given(rows=st.lists(st.integers(0, 69), min_size=1, max_size=70))
def test_an_image_can_be_made_again_from_its_seed_and_conditioning_input(rows: list[int]) -> None:
    spec = replace(SPEC, size=16)
    unet = built(PIX2PIX.generator, spec)
    _, condition, conditioning_input = given_inputs(70, spec)
    seeds, conditioning_inputs = torch.arange(70), conditioning_input.add(1).mul(127.5).to(torch.uint8)
    whole = generate(PIX2PIX, unet, spec, seeds, condition, conditioning_inputs=conditioning_inputs)
    part = torch.tensor(rows)
    assert generate(
        PIX2PIX, unet, spec, seeds[part], condition[part], conditioning_inputs=conditioning_inputs[part]
    ).equal(whole[part])


@pytest.mark.parametrize(("size", "field"), [(16, 16), (32, 16), (64, 16), (128, 34), (256, 70)])
def test_a_logit_sees_a_patch_of_about_a_quarter_of_the_side(size: int, field: int) -> None:
    spec = replace(SPEC, size=size)
    critic = built(PIX2PIX.discriminator, spec)
    reach, step = 1, 1
    layers = [module for module in critic.modules() if isinstance(module, nn.Conv2d)]
    for layer in reversed(layers):
        assert layer.kernel_size == (4, 4)
        reach = (reach - 1) * layer.stride[0] + 4
        step *= layer.stride[0]
    assert reach == field
    _, condition, conditioning_input = given_inputs(2, spec)
    logits = critic(torch.rand(2, 1, size, size), condition, conditioning_input)
    side = size // step - 2
    assert logits.shape == (2, 1, side, side)


def test_a_patch_is_judged_by_what_is_in_it_up_to_the_normalisation() -> None:
    """The gradient of one logit, the statistics of instance normalisation held fixed, reaches no further than 16x16."""
    critic = built(PIX2PIX.discriminator)
    _, condition, conditioning_input = given_inputs(1)
    plain = nn.Sequential(*critic.get_submodule("layers"), critic.get_submodule("last"))
    x = torch.cat([torch.rand(1, 1, 64, 64), conditioning_input], 1).requires_grad_()
    plain(x)[0, 0, 15, 15].backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(0).nonzero()
    assert (touched.amax(0) - touched.amin(0) + 1).tolist() == [16, 16]
    assert x.grad[0, 1].abs().sum() > 0  # the conditioning input is seen together with the image
    nn.init.normal_(critic.get_parameter("embedding.weight"))
    image = torch.rand(1, 1, 64, 64)
    assert not critic(image, condition, conditioning_input).equal(critic(image, condition, -conditioning_input))
    assert not critic(image, condition, conditioning_input).equal(critic(image, condition + 1, conditioning_input))


def test_the_penalty_does_not_grow_with_the_number_of_patches() -> None:
    image = torch.rand(2, 1, 8, 8)
    one = r1_penalty(lambda x: x.sum((1, 2, 3)), image)
    many = r1_penalty(lambda x: x.sum((1, 2, 3))[:, None, None, None].expand(-1, 1, 5, 5), image)
    torch.testing.assert_close(one, many)


def test_the_objective_is_l1_times_a_hundred_and_half_a_discriminator_loss() -> None:
    real, fake = torch.rand(4, 1, 8, 8), torch.rand(4, 1, 8, 8)
    made = Made(fake, torch.zeros(4, 16), (torch.zeros(4).long(),), real, lambda x: x.flatten(1))
    assert PIX2PIX.objective.content is not None
    loss = PIX2PIX.objective.content(nn.Identity(), nn.Identity(), made)
    torch.testing.assert_close(loss, (fake - real).abs().mean())
    targets = (torch.ones_like(real), torch.zeros_like(real))
    half = PIX2PIX.objective.discriminator(real, fake, *targets)
    torch.testing.assert_close(2 * half, bce_discriminator(real, fake, *targets))
    defaults = PIX2PIX.defaults
    assert (defaults.content_weight, defaults.betas, defaults.lr_g, defaults.lr_d) == (
        100,
        (0.5, 0.999),
        2e-4,
        2e-4,
    )
    assert PIX2PIX.conditioning_inputs == ("mask", "edges")
    assert "cutout" not in defaults.diffaugment  # a hole of half a side hides more than a whole patch


def test_it_learns_to_put_the_defect_where_the_mask_says() -> None:
    """Dark squares on grey under their masks: a mask in another place moves the dark square there."""
    draw = torch.Generator().manual_seed(0)
    places = torch.randint(0, 20, (24, 2), generator=draw).tolist()
    masks = torch.zeros(24, 1, 32, 32, dtype=torch.uint8)
    for mask, (y, x) in zip(masks, places, strict=True):
        mask[0, y : y + 12, x : x + 12] = 255
    noise = torch.randint(0, 30, masks.shape, generator=draw, dtype=torch.uint8)
    images = torch.where(masks > 0, 20, 180).to(torch.uint8) + noise
    options = replace(PIX2PIX.defaults, steps=60, width=8, batch=8, latent=16, lr_g=2e-3)
    trainer = Trainer(
        PIX2PIX, images, torch.arange(24) % 2, n_conditions=2, options=options, seed=0, conditioning_inputs=masks
    )
    trainer.run()
    fresh = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    fresh[0, 0, 4:16, 17:29] = 255
    drawn = generate(
        PIX2PIX, trainer.ema, trainer.spec, torch.tensor([7]), torch.tensor([0]), conditioning_inputs=fresh
    ).float()
    inside, outside = drawn[fresh > 0].mean(), drawn[fresh == 0].mean()
    assert outside - inside > 80


def test_conditioning_inputs_of_another_side_are_refused() -> None:
    for builder in (PIX2PIX.generator, PIX2PIX.discriminator):
        with pytest.raises(ValueError, match="the side of the conditioning inputs"):
            builder(replace(SPEC, scale=2))
