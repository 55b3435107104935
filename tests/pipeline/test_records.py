import gc
import weakref
from pathlib import Path

import torch

from pipeline.stages.records import load_images
from pipeline.store import save_tensors


def test_a_process_holds_the_candidates_of_a_few_classes_at_most(tmp_path: Path) -> None:
    load_images.cache_clear()
    held = []
    for label in range(12):
        save_tensors(tmp_path / f"{label}.safetensors", {"images": torch.full((2, 1, 4, 4), label).to(torch.uint8)})
        images = load_images(str(tmp_path / f"{label}.safetensors"))
        assert images.eq(label).all()
        held.append(weakref.ref(images))
    del images
    gc.collect()
    assert sum(images() is not None for images in held) <= 4
