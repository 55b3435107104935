"""`generate.truncation` reaches StyleGAN's generator, costs no new training, and is refused where it means nothing."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.job import run_job
from pipeline.stages.generate import generate
from pipeline.stages.jobs import first_jobs
from pipeline.stages.prepare import prepare
from pipeline.stages.train import train
from pipeline.store import RunFolder, load_tensors
from tests import tiny

STYLEGAN = ("gan.family=stylegan", "gan.steps=1", "gan.lr_g=0.0001")


def test_it_narrows_what_is_drawn_from_the_same_generator(tmp_path: Path, textures_folder: Path) -> None:
    run = RunFolder(tmp_path)
    spreads, digests = [], set()
    for psi in ("1", "0.5", "0"):
        config = tiny.settings(*STYLEGAN, f"generate.truncation={psi}")
        prepared = prepare(run, config, textures_folder)
        trained = [train(job) for job in first_jobs(run, config, prepared)]
        digests |= {record.digest for record in trained}
        images = load_tensors(Path(generate(run, config, prepared, trained)[0].file))[0]["images"].float()
        spreads.append((images - images.mean(0)).abs().mean().item())
    assert len(digests) == 1
    assert spreads[0] > spreads[1] > 1.5 > spreads[2]  # after one step the noise is all but silent


def test_a_family_without_styles_refuses_it_before_anything_is_written(tmp_path: Path, textures_folder: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InputError, match=r"generate\.truncation.*dcgan.*set it to 1"):
        run_job(run, tiny.settings("generate.truncation=0.7"), textures_folder)
    assert not run.out.exists()
