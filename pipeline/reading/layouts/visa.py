"""VisA: CATEGORY/Data/Images/Normal and Anomaly, with Data/Masks/Anomaly."""

from dataclasses import replace

from pipeline.errors import InputError
from pipeline.reading.layouts.image_mask_folders import image_mask_folders
from pipeline.reading.layouts.tree import Layout, Tree

IMAGES = ("Data/Images/Normal", "Data/Images/Anomaly")


def visa(tree: Tree) -> Layout | None:
    """One category. Raises InputError for a folder of several, with those to choose from."""
    folders = set(tree.folders)
    if folders.issuperset(IMAGES):
        layout = image_mask_folders(tree)
        lists = tuple(path for path in tree.paths if path.lower() == "image_anno.csv")
        note = f"VisA layout; {lists[0]} is not used: it names kinds of defects." if lists else ""
        left_out = {**(layout.left_out if layout else {}), **dict.fromkeys(lists, "names kinds of defects")}
        return layout and replace(layout, name="visa", notes=[note] if note else [], left_out=left_out)
    categories = [top for top in tree.below() if any(f"{top}/{place}" in folders for place in IMAGES)]
    if categories:
        several = f"several VisA categories ({', '.join(categories)}); give one, such as"
        raise InputError(
            f"{tree.root} holds {several if len(categories) > 1 else 'one VisA category; give'} "
            f"{tree.root / categories[0]}."
        )
    return None
