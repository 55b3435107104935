"""Formats of annotations, each read to a layout: which class each image is of and where its defects are."""

from collections.abc import Callable

from pipeline.reading.annotations.coco import coco
from pipeline.reading.annotations.cvat import cvat
from pipeline.reading.annotations.labelme import labelme
from pipeline.reading.annotations.voc import voc
from pipeline.reading.annotations.yolo import yolo
from pipeline.reading.layouts.tree import Layout, Tree

__all__ = ["FORMATS"]

# Tried in this order, those first that describe all images in one file. None: it is not of this format.
FORMATS: dict[str, Callable[[Tree], Layout | None]] = {
    "coco": coco,
    "cvat": cvat,
    "yolo": yolo,
    "voc": voc,
    "labelme": labelme,
}
