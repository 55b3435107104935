"""Conditioning inputs: masks, edges and small images, drawn for each seed, and a run that is guided by them from end to
end."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ganaug.families import get_family
from ganaug.sampling import generate
from ganaug.spec import Spec
from ganaug.symmetries import SYMMETRIES
from pipeline.errors import InputError
from pipeline.job import check_names, run_job
from pipeline.log import read_log
from pipeline.manifest import read_manifest
from pipeline.reading import pack_masks
from pipeline.reading.annotations.coco import read_instances
from pipeline.reading.instances import union
from pipeline.stages.conditioning_inputs import CONDITIONING_INPUTS, canny, draw, marked, training_images, usable_kind
from pipeline.stages.prepare import prepare
from pipeline.stages.records import SPLIT_CODES, Pack, load_pack
from pipeline.store import RunFolder, load_tensors, read_json
from tests import tiny
from tests.pipeline.marked import marked_picture, write_marked

FRAMED = ("data.framing=whole", "gan.family=pix2pix", "gan.steps=3", "gan.lr_g=2e-4", "gan.lr_d=2e-4")


def a_pack(masked: int = 4, n: int = 8, size: int = 32) -> Pack:
    """Class 0 and 1 in turn, the last two images for the test; the first `masked` have a mask."""
    pairs = [marked_picture("blobs", i) for i in range(n)]
    images = torch.from_numpy(np.stack([pixels for pixels, _ in pairs]))[:, None]
    images = F.avg_pool2d(images.float(), 64 // size).to(torch.uint8)
    masks = pack_masks([mask if i < masked else None for i, (_, mask) in enumerate(pairs)], size)
    splits = torch.tensor([SPLIT_CODES["train"]] * (n - 2) + [SPLIT_CODES["test"]] * 2)
    labels = torch.arange(n) % 2
    rows = [{"index": i, "path": f"{i}.png", "label": "ab"[i % 2]} for i in range(n)]
    return Pack(images, labels, torch.arange(n), splits, rows, masks if masked else None)


@settings(max_examples=40)
@given(
    top=st.integers(0, 96),
    left=st.integers(0, 96),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.sampled_from([16, 32, 64]),
)
def test_masks_keep_to_black_and_white_and_no_defect_is_lost(
    top: int, left: int, height: int, width: int, size: int
) -> None:
    mask = np.zeros((97, 97), np.uint8)
    mask[top : top + height, left : left + width] = 255
    (small,) = pack_masks([mask], size)
    assert set(small.unique().tolist()) == {0, 255} and small.shape == (1, size, size)
    where = small[0].nonzero().double().mean(0) + 0.5
    middle = torch.tensor([np.flatnonzero(mask.any(1)).mean(), np.flatnonzero(mask.any(0)).mean()]) + 0.5
    assert (where * 97 / size - middle).abs().max() <= 97 / size
    assert not pack_masks([None, np.zeros_like(mask)], size).any()


def test_the_pack_carries_the_masks_where_the_data_set_has_them(tmp_path: Path, textures_folder: Path) -> None:
    config = tiny.settings("data.framing=whole")
    pack = load_pack(prepare(RunFolder(tmp_path / "a"), config, write_marked(tmp_path / "data", bare=("grain",))).pack)
    assert pack.masks is not None and pack.masks.shape == (len(pack.images), 1, 32, 32)
    assert set(pack.masks.unique().tolist()) == {0, 255}
    for row, image, mask in zip(pack.rows, pack.images.float(), pack.masks, strict=True):
        assert mask.any() == (row["label"] != "grain")
        if mask.any():
            assert image[mask > 0].mean() < 0.6 * image[mask == 0].mean()  # they lie on the defects
    assert load_pack(prepare(RunFolder(tmp_path / "b"), config, textures_folder).pack).masks is None


def test_another_mask_is_another_pack(tmp_path: Path) -> None:
    run, config = RunFolder(tmp_path / "run"), tiny.settings()
    source = write_marked(tmp_path / "data")
    before = prepare(run, config, source)
    mask, other = (source / "blobs" / f"blobs-0{i}.png" for i in (0, 1))
    mask.write_bytes(other.read_bytes())
    assert prepare(run, config, source).digest != before.digest


@pytest.mark.parametrize("side", [32, 16])
def test_masks_are_the_conditioning_inputs_where_something_is_marked_and_edges_elsewhere(side: int) -> None:
    pack, index = a_pack(), torch.tensor([5, 0, 3])
    masks, edges = (CONDITIONING_INPUTS[kind](pack, index, side) for kind in ("mask", "edges"))
    assert marked(pack)[index].tolist() == [False, True, True]
    assert masks.shape == edges.shape == (3, 1, side, side) and masks.dtype == torch.uint8
    assert masks[0].equal(edges[0]) and edges[0].any()
    assert pack.masks is not None
    assert masks[1:].equal(F.interpolate(pack.masks[index[1:]], (side, side), mode="nearest-exact"))
    assert set(masks.unique().tolist()) | set(edges.unique().tolist()) == {0, 255}


def test_a_thin_defect_survives_where_conditioning_inputs_are_smaller_than_the_pack() -> None:
    pack = a_pack()
    assert pack.masks is not None
    pack.masks[0] = 0
    pack.masks[0, 0, 8:24, 10] = 255
    thin = CONDITIONING_INPUTS["mask"](pack, torch.tensor([0]), 8)
    assert thin.any() and set(thin.unique().tolist()) == {0, 255}


def test_edges_hold_the_outline_of_the_mask() -> None:
    pack = a_pack()
    with_masks = CONDITIONING_INPUTS["edges"](pack, torch.arange(4), 32)
    without = CONDITIONING_INPUTS["edges"](a_pack(masked=0), torch.arange(4), 32)
    assert pack.masks is not None
    added = (with_masks > 0) & (without == 0)
    assert added.any() and (pack.masks[:4][added] == 255).all()
    inside = F.max_pool2d(255 - pack.masks[:4].float(), 3, stride=1, padding=1) == 0
    assert not (added & inside).any()


@settings(max_examples=30)
@given(contrast=st.integers(5, 150), dark=st.integers(0, 100), left=st.integers(4, 20))
def test_edges_lie_where_the_light_changes_however_dim_it_is(contrast: int, dark: int, left: int) -> None:
    picture = np.full((32, 32), dark, np.uint8)
    picture[8:20, left : left + 8] += np.uint8(contrast)
    near = F.max_pool2d(torch.from_numpy(picture != dark).float()[None], 5, stride=1, padding=2)[0]
    near -= 1 - F.max_pool2d(torch.from_numpy(picture == dark).float()[None], 5, stride=1, padding=2)[0]
    found = torch.from_numpy(canny(picture)) > 0
    assert found.sum() > 20 and not (found & (near == 0)).any()
    assert not canny(np.full((32, 32), dark, np.uint8)).any()


def test_small_conditioning_inputs_are_area_averages() -> None:
    pack = a_pack()
    small = CONDITIONING_INPUTS["small"](pack, torch.arange(3), 16)
    blocks = pack.images[:3].float().unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    assert small.dtype == torch.uint8 and (small.float() - blocks).abs().max() <= 0.5
    assert CONDITIONING_INPUTS["small"](pack, torch.arange(3), 32).equal(pack.images[:3])


@settings(max_examples=20, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**40), min_size=1, max_size=20), kind=st.sampled_from(["edges", "mask", "small"]))
def test_a_conditioning_input_depends_on_its_seed_alone_and_can_be_found_again(seeds: list[int], kind: str) -> None:
    pack = a_pack()
    drawn = draw(kind, pack, 1, torch.tensor(seeds), 16)
    assert set(drawn.rows.tolist()) <= set(training_images(pack, 1).tolist()) == {1, 3, 5}
    for i, seed in enumerate(seeds):
        alone = draw(kind, pack, 1, torch.tensor([seed]), 16)
        assert alone.conditioning_inputs[0].equal(drawn.conditioning_inputs[i])
        of = CONDITIONING_INPUTS[kind](pack, drawn.rows[i : i + 1], 16)[0]
        assert SYMMETRIES[int(drawn.symmetries[i])](of).equal(drawn.conditioning_inputs[i])


def test_every_image_and_symmetry_is_drawn_about_as_often() -> None:
    drawn = draw("mask", a_pack(), 0, torch.arange(960), 16)
    pairs = torch.stack([drawn.rows, drawn.symmetries], 1).unique(dim=0, return_counts=True)[1]
    assert len(pairs) == 3 * 8 and pairs.min() >= 15 and pairs.max() <= 75


def test_the_kind_is_the_familys_first_unless_another_is_asked_for() -> None:
    family, pack = get_family("pix2pix"), a_pack(masked=6)
    assert usable_kind(tiny.settings(), family, pack) == ("mask", [])
    assert usable_kind(tiny.settings("gan.conditioning_input=edges"), family, pack) == ("edges", [])
    assert usable_kind(tiny.settings(), get_family("dcgan"), pack)[0] == "none"
    kind, (a, b) = usable_kind(tiny.settings(), family, a_pack(masked=3))
    assert kind == "mask" and "1 training image(s) of class a" in a and "2 training image(s) of class b" in b
    kind, (note,) = usable_kind(tiny.settings(), family, a_pack(masked=0))
    assert kind == "edges" and "No training image" in note


def test_what_cannot_be_had_is_refused_by_its_key() -> None:
    for family, kind in (("dcgan", "mask"), ("pix2pix", "small"), ("pix2pix", "none"), ("srgan", "mask")):
        with pytest.raises(InputError, match=rf"^gan\.conditioning_input = {kind}: gan\.family {family} takes"):
            check_names(tiny.settings(f"gan.family={family}", f"gan.conditioning_input={kind}"))
    with pytest.raises(InputError, match=r"^gan\.conditioning_input = mask: no training image has a mask.*use edges"):
        usable_kind(tiny.settings("gan.conditioning_input=mask"), get_family("pix2pix"), a_pack(masked=0))
    with pytest.raises(InputError, match=r"'gan\.conditioning_input' cannot be 'masks'.*edges"):
        tiny.settings("gan.conditioning_input=masks")


@pytest.mark.parametrize("scope", ["shared", "per_class", "specialise"])
def test_a_conditioned_run_can_be_made_again_from_its_lineage(tmp_path: Path, scope: str) -> None:
    source = write_marked(tmp_path / "data", bare=("grain",))
    run, config = RunFolder(tmp_path / "run"), tiny.settings(*FRAMED, f"gan.scope={scope}", "gan.finetune_steps=2")
    run_job(run, config, source, until="generate")
    notes = [event["note"] for event in read_log(run.log) if event["event"] == "conditioning_inputs"]
    assert len(notes) == 1 and "class grain" in notes[0] and "edge maps" in notes[0]
    prepared = prepare(run, config, source)
    pack = load_pack(prepared.pack)
    for label, name in enumerate(prepared.classes):
        card = read_json(run.card(name))
        assert (
            card["family"] == "pix2pix"
            and card["conditioning_input"]["kind"] == "mask"
            and card["spec"]["conditioning_channels"] == 1
        )
        assert card["super_resolver"] is None and not run.super_resolver(name).exists()
        assert card["conditioning_input"]["images"] == [
            pack.rows[i]["path"] for i in training_images(pack, label).tolist()
        ]
        (made,) = [t for file in run.store.glob("candidates-*") for t, m in [load_tensors(file)] if m["class"] == name]
        assert set(pack.labels[made["conditioning_rows"]].tolist()) == {label}
        # the model, the seed and the named image under the named symmetry give the image again
        family, spec = get_family(card["family"]), Spec(**card["spec"])
        generator = family.generator(spec)
        generator.load_state_dict(load_tensors(run.model(name))[0])
        kept = CONDITIONING_INPUTS[card["conditioning_input"]["kind"]](pack, made["conditioning_rows"], spec.size)
        turned = [
            SYMMETRIES[turn](conditioning_input)
            for conditioning_input, turn in zip(kept, made["conditioning_symmetries"].tolist(), strict=True)
        ]
        again = generate(
            family, generator, spec, made["seeds"], made["conditions"], conditioning_inputs=torch.stack(turned)
        )
        assert again.equal(made["images"])
        assert draw(card["conditioning_input"]["kind"], pack, label, made["seeds"], spec.size).rows.equal(
            made["conditioning_rows"]
        )


def test_the_kind_of_conditioning_input_belongs_to_the_generators_name(tmp_path: Path) -> None:
    source, run = write_marked(tmp_path / "data"), RunFolder(tmp_path / "run")
    for more in ((), ("gan.conditioning_input=edges",)):
        run_job(run, tiny.settings(*FRAMED, *more), source, until="train")
    assert len(list(run.store.glob("generator-*"))) == 2


def test_an_image_that_a_mask_conditioned_is_merged_with_that_mask(tmp_path: Path) -> None:
    source, run = write_marked(tmp_path / "data", bare=("grain",)), RunFolder(tmp_path / "run")
    config = tiny.settings(*FRAMED, "evaluate.steps=1")
    run_job(run, config, source, until="generate")
    tiny.draw_well(run)
    run_job(run, config, source, until="merge")
    made = {}
    for tensors, card in map(load_tensors, run.store.glob("candidates-*")):
        made |= {(card["class"], seed): i for i, seed in enumerate(tensors["seeds"].tolist())}
        made |= {card["class"]: tensors}
    (pack,) = (load_pack(str(file)) for file in run.store.glob("pack-*"))
    synthetic = read_manifest(run.manifest).query("source == 'synthetic'")
    assert set(synthetic["label"]) == set(tiny.TEXTURES) and pack.masks is not None
    for row in synthetic.itertuples():
        assert bool(row.mask) == (row.label != "grain")
        if row.mask:
            i, candidates = made[row.label, row.seed], made[row.label]
            mask = pack.masks[candidates["conditioning_rows"][i], 0]
            turned = SYMMETRIES[int(candidates["conditioning_symmetries"][i])](mask).numpy()
            assert np.array_equal(cv2.imread(str(run.dataset / row.mask), cv2.IMREAD_UNCHANGED), turned)
    instances = read_instances(run.dataset / "instances.json")
    rows = read_manifest(run.manifest)
    assert list(instances) == rows["path"][rows["mask"] != ""].tolist()  # of the others nothing is known
    for row in rows[rows["mask"] != ""].itertuples():
        marked = union(instances[row.path], row.height, row.width)
        assert {one.label for one in instances[row.path]} <= {row.label}
        found = cv2.imread(str(run.dataset / row.mask), cv2.IMREAD_UNCHANGED)
        assert marked is not None and np.array_equal(marked, found)
