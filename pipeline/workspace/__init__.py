"""Workspaces: a registry of defect classes whose images are added and removed, with generators trained as needed."""

from pipeline.workspace.classes import Added, add_images, remove_class
from pipeline.workspace.folder import Row, Workspace

__all__ = ["Added", "Row", "Workspace", "add_images", "remove_class"]
