"""Defect classes that live for years: images that come and go, generators that are trained when they must be."""

from pipeline.workspace.classes import Added, add_images, remove_class
from pipeline.workspace.folder import Row, Workspace

__all__ = ["Added", "Row", "Workspace", "add_images", "remove_class"]
