"""What `inspect` warns of before anything trains: few images, extreme imbalance, a test split too small to say."""

import shutil
from pathlib import Path

import pytest

from pipeline.reading import inspect, load
from pipeline.reading.summary import FEW_IMAGES, FEW_TEST, IMBALANCE
from tests.pipeline.samples import folder, save, texture


def warnings(root: Path, word: str, test_fraction: float = 0.2) -> list[str]:
    found: list[str] = inspect(load(root), test_fraction=test_fraction)["warnings"]
    return [warning for warning in found if word in warning]


def classes(root: Path, counts: dict[str, int], size: int = 16) -> Path:
    for k, (name, count) in enumerate(counts.items()):
        for i in range(count):
            save(root / name / f"{i}.png", texture(1000 * k + i, size, size))
    return root


def test_a_class_with_few_images_is_named_with_its_number(tmp_path: Path) -> None:
    root = classes(tmp_path, {"dent": FEW_IMAGES, "hole": FEW_IMAGES - 1, "lone": 1})
    (warning,) = warnings(root, "too few for a generator")
    assert f"'hole' has {FEW_IMAGES - 1} images" in warning and "docs/data.md" in warning


def test_extreme_imbalance_names_both_classes_with_their_counts(tmp_path: Path) -> None:
    root = classes(tmp_path, {"good": 3 * IMBALANCE - 1, "hole": 3, "dent": 4})
    assert warnings(root, "nearly always right") == []
    save(root / "good" / "more.png", texture(7777, 16, 16))
    (warning,) = warnings(root, "nearly always right")
    assert f"'good' has {3 * IMBALANCE} images and 'hole' 3" in warning


def test_a_given_test_split_is_counted_in_independent_images(tmp_path: Path) -> None:
    folder(tmp_path / "train", each=12, first_seed=500)
    folder(tmp_path / "test", each=FEW_TEST // 2)
    assert warnings(tmp_path, "verdict") == []
    (tmp_path / "test" / "dent" / "0.png").unlink()
    shutil.copy(tmp_path / "test" / "dent" / "1.png", tmp_path / "test" / "dent" / "again.png")
    (warning,) = warnings(tmp_path, "verdict")
    assert warning.startswith(f"The test split holds {FEW_TEST - 1} independent image(s)")


@pytest.mark.parametrize(("fraction", "drawn"), [(0.5, 20), (0.2, 8)])
def test_without_a_split_the_one_to_be_drawn_is_judged(tmp_path: Path, fraction: float, drawn: int) -> None:
    found = warnings(folder(tmp_path, each=20), "verdict", fraction)
    assert (found == []) == (drawn >= FEW_TEST)
    assert all(f"drawn holds about {drawn} independent" in warning for warning in found)
