"""Fits of the comparison of trainings are found again."""

import joblib
import torch

from benchmarks.generation import arrays


def test_equal_images_have_one_digest_wherever_they_lie_in_memory() -> None:
    images, labels = torch.arange(48, dtype=torch.uint8).reshape(3, 1, 4, 4), torch.arange(3)
    first, again = arrays((images, labels)), arrays((images.clone(), labels.clone()))
    assert joblib.hash(first) == joblib.hash(again) != joblib.hash(arrays((images + 1, labels)))
    assert joblib.hash((images, labels)) != joblib.hash((images.clone(), labels.clone()))  # why there are arrays
