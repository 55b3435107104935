"""`instances.json` beside a manifest: a COCO file whose images are named by the paths of the manifest."""

from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from pipeline.errors import InputError
from pipeline.reading.instances import Instance, Polygon
from pipeline.store import StoreError, read_json


def read_instances(file: Path) -> dict[str, tuple[Instance, ...]]:
    """Image path -> its instances, for every image that the file lists; nothing where there is no file.

    Raises InputError naming the file when it is not what a run wrote.
    """
    if not file.is_file():
        return {}
    try:
        return _by_image(read_json(file))
    except (StoreError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{file} is not a COCO file of this data set ({type(error).__name__}: {error}); restore it, or remove it "
            "to have the defects found in the masks."
        ) from error


def _by_image(whole: Any) -> dict[str, tuple[Instance, ...]]:
    names = {one["id"]: str(one["file_name"]) for one in whole["images"]}
    sizes = {one["id"]: (int(one["height"]), int(one["width"])) for one in whole["images"]}
    classes = {one["id"]: str(one["name"]) for one in whole["categories"]}
    found: dict[str, tuple[Instance, ...]] = dict.fromkeys(names.values(), ())
    for one in whole["annotations"]:
        image = one["image_id"]
        found[names[image]] += (_instance(classes[one["category_id"]], one, *sizes[image]),)
    return found


def _instance(label: str, one: Any, height: int, width: int) -> Instance:
    left, top, across, down = map(float, one["bbox"])
    box, shape = (left, top, across, down), one.get("segmentation") or []
    if isinstance(shape, list):
        return Instance(label, box, tuple(_polygon(flat) for flat in shape))
    if shape["size"] != [height, width]:
        raise ValueError(f"a mask of {shape['size']} on an image of {[height, width]}")
    packed = shape if isinstance(shape["counts"], str) else coco_mask.frPyObjects(shape, height, width)
    counts = packed["counts"]
    return Instance(label, box, rle=counts if isinstance(counts, str) else counts.decode("ascii"))


def _polygon(flat: list[float]) -> Polygon:
    return tuple(zip(map(float, flat[::2]), map(float, flat[1::2]), strict=True))
