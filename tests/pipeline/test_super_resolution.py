"""Enlarging what was drawn: who draws, who enlarges, and that a merged image names both."""

from pathlib import Path

import pytest
import torch

from ganaug.families import get_family
from ganaug.sampling import generate
from ganaug.spec import Spec
from pipeline.errors import InputError, JobError
from pipeline.job import check_names, run_job
from pipeline.manifest import read_manifest
from pipeline.stages import train as training
from pipeline.stages.jobs import TrainJob, first_jobs, super_resolution_jobs
from pipeline.stages.prepare import prepare
from pipeline.stages.super_resolution import drawing_family, scale_of
from pipeline.store import RunFolder, load_tensors, read_json
from tests import tiny
from tests.pipeline.marked import write_marked

QUICK = ("gan.steps=3",)


@pytest.mark.parametrize(
    ("family", "upscale", "drawn_by", "scale"),
    [("dcgan", 1, "dcgan", 1), ("wgan_gp", 2, "wgan_gp", 2), ("srgan", 1, "dcgan", 2), ("srgan", 4, "dcgan", 4)],
)
def test_who_draws_and_how_much_it_is_enlarged(family: str, upscale: int, drawn_by: str, scale: int) -> None:
    config = tiny.settings("data.image_size=64", f"gan.family={family}", f"generate.upscale={upscale}")
    assert (drawing_family(config).name, scale_of(config)) == (drawn_by, scale)


def test_too_small_to_draw_is_refused_by_its_key() -> None:
    for family in ("dcgan", "srgan"):
        with pytest.raises(InputError, match=r"^generate\.upscale = 4: .*drawn at 8, and 16 is the least"):
            check_names(tiny.settings(f"gan.family={family}", "generate.upscale=4"))
    with pytest.raises(InputError, match=r"'generate\.upscale' cannot be 3"):
        tiny.settings("generate.upscale=3")


def test_the_overrides_belong_to_the_family_that_is_named(tmp_path: Path, textures_folder: Path) -> None:
    def jobs(*overrides: str) -> tuple[TrainJob, TrainJob]:
        config = tiny.settings(*overrides)
        run = RunFolder(tmp_path)
        prepared = prepare(run, config, textures_folder)
        (enlarging,) = super_resolution_jobs(run, config, prepared)
        return first_jobs(run, config, prepared)[0], enlarging

    dcgan, srgan = get_family("dcgan").defaults, get_family("srgan").defaults
    drawing, enlarging = jobs("gan.family=srgan", "gan.variant=tied", "gan.content_weight=2")
    assert (drawing.family, drawing.shrink, drawing.scale, drawing.options.width) == ("dcgan", 2, 1, dcgan.width)
    assert (enlarging.family, enlarging.shrink, enlarging.scale, enlarging.options.width) == ("srgan", 1, 2, 8)
    assert (enlarging.options.variant, enlarging.options.content_weight, enlarging.conditioning_input) == (
        "tied",
        2,
        "small",
    )
    assert drawing.options.steps == enlarging.options.steps == 40
    drawing, enlarging = jobs("gan.family=wgan_gp", "generate.upscale=2", "gan.steps=9999")
    assert (drawing.family, drawing.options.width, drawing.options.steps) == ("wgan_gp", 8, 9999)
    assert (enlarging.options.width, enlarging.options.steps) == (srgan.width, srgan.steps)
    assert len({drawing.digest, enlarging.digest}) == 2


@pytest.mark.parametrize("scope", ["shared", "per_class", "specialise"])
def test_a_merged_image_names_both_generators_and_can_be_made_again(
    tmp_path: Path, textures_folder: Path, scope: str
) -> None:
    settings = ("gan.family=srgan", f"gan.scope={scope}", "gan.finetune_steps=2", "evaluate.steps=1", "gan.modes=2")
    run, config = RunFolder(tmp_path), tiny.settings(*QUICK, *settings)
    run_job(run, config, textures_folder, until="generate")
    candidates = {m["class"]: t for t, m in map(load_tensors, run.store.glob("candidates-*"))}
    tiny.draw_well(run)
    run_job(run, config, textures_folder, until="merge")
    synthetic = read_manifest(run.manifest).query("source == 'synthetic'")
    assert set(synthetic["label"]) == set(tiny.TEXTURES) and set(synthetic["width"]) == set(synthetic["height"]) == {32}
    assert (tmp_path / "training" / "super_resolver" / "history.csv").exists()
    for name, rows in synthetic.groupby("label"):
        card = read_json(run.card(str(name)))
        drawing, enlarging = Spec(**card["spec"]), Spec(**card["super_resolver"]["spec"])
        assert (card["family"], card["super_resolver"]["family"]) == ("dcgan", "srgan")
        assert (drawing.size, enlarging.size, enlarging.scale) == (16, 32, 2)
        named = f"{card['generator'][:16]}+{card['super_resolver']['generator'][:16]}"
        assert set(rows["generator"]) == {named}
        made, drawn = candidates[str(name)], None
        pair = (("dcgan", drawing, run.model(str(name))), ("srgan", enlarging, run.super_resolver(str(name))))
        for family, spec, file in pair:
            generator = get_family(family).generator(spec)
            generator.load_state_dict(load_tensors(file)[0])
            label = torch.full_like(made["seeds"], list(tiny.TEXTURES).index(str(name)))
            asked = made["conditions"] if drawn is None else label
            drawn = generate(get_family(family), generator, spec, made["seeds"], asked, conditioning_inputs=drawn)
        assert drawn is not None and drawn.equal(made["images"])


def test_conditioned_families_are_enlarged_too(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    overrides = ("gan.family=pix2pix", "generate.upscale=2", "data.framing=whole", "gan.lr_g=2e-4")
    run_job(run, tiny.settings(*QUICK, *overrides), write_marked(tmp_path / "data"), until="generate")
    for name in tiny.TEXTURES:
        card = read_json(run.card(name))
        assert (card["family"], card["spec"]["size"], card["conditioning_input"]["kind"]) == ("pix2pix", 16, "mask")
        assert card["super_resolver"]["family"] == "srgan" and run.super_resolver(name).exists()


def test_the_super_resolver_is_trained_once_and_goes_when_it_is_not_asked_for(
    tmp_path: Path, textures_folder: Path
) -> None:
    run = RunFolder(tmp_path)
    run_job(run, tiny.settings(*QUICK, "generate.upscale=2"), textures_folder, until="generate")
    before = tiny.times(run.store)
    run_job(run, tiny.settings(*QUICK, "generate.upscale=2"), textures_folder, until="generate")
    assert tiny.times(run.store) == before and run.super_resolver("blobs").exists()
    run_job(run, tiny.settings(*QUICK), textures_folder, until="train")
    assert not run.super_resolver("blobs").exists() and read_json(run.card("blobs"))["super_resolver"] is None


def test_a_run_whose_super_resolver_fails_says_so(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = training.Trainer

    def sick(family, *arguments, **named):  # type: ignore[no-untyped-def]
        trainer = made(family, *arguments, **named)
        if family.name == "srgan":
            next(trainer.generator.parameters()).data.fill_(torch.nan)
        return trainer

    monkeypatch.setattr(training, "Trainer", sick)
    with pytest.raises(JobError, match=r"enlarges failed to train \(generate\.upscale\): Training diverged"):
        run_job(RunFolder(tmp_path), tiny.settings(*QUICK, "generate.upscale=2"), textures_folder)
