"""What an arm is made of, and how long its classifier trains."""

from pipeline.config import MERGEABLE, REAL_ARMS, Config
from pipeline.stages.arms import Option, arms, fit_of
from pipeline.stages.records import Prepared

COUNTS = {"train": {"dent": 150, "good": 50}, "val": {"dent": 40, "good": 10}, "test": {"dent": 9, "good": 9}}
PREPARED = Prepared("digest", "pack", ["dent", "good"], 32, 1, "whole", COUNTS, [])


def test_steps_go_by_all_real_training_images_also_in_a_fold() -> None:
    job = fit_of(Config(device="cpu"), PREPARED, [], Option("flips"), (0, 1, 2), (3,), 7)
    assert (job.recipe.steps, job.recipe.policy, job.train, job.held_out, job.seed) == (
        2000,
        "flips",
        (0, 1, 2),
        (3,),
        7,
    )


def test_arms_differ_in_what_their_names_say() -> None:
    made = arms("flips_crop", 4, balanced=False)
    assert {arm for arm, option in made.items() if option.ratio} == {*MERGEABLE, "gan_unfiltered"}
    assert all(not made[arm].ratio for arm in REAL_ARMS)
    assert {arm for arm, option in made.items() if option.policy == "flips_crop"} == {"classical", "classical_gan"}
    assert [arm for arm, option in made.items() if option.balanced] == ["balanced"]
    even = arms("flips_crop", 4, balanced=True)
    assert [arm for arm, option in even.items() if option.balanced] == ["balanced", "classical", "classical_gan"]
    assert [arm for arm, option in made.items() if not option.filtered] == ["gan_unfiltered"]
