"""Summary of a data set and its faults, as a record for programs and as text (`ganaug inspect`)."""

from collections import Counter
from typing import Any

import numpy as np

from pipeline.reading.account import USES, FileUse, counted, reasons
from pipeline.reading.conflicts import duplicates_of, label_conflicts, likely_notes, split_faults, split_leaks
from pipeline.reading.duplicates import THRESHOLD, Duplicates, Pair
from pipeline.reading.faults import faults
from pipeline.reading.framing import channels_of, choose_framing, has_defect
from pipeline.reading.reader import Reading

FEW_IMAGES = 10  # of a class, below which a generator has hardly anything to learn from
IMBALANCE = 20  # times as many images in the largest class as in the smallest
FEW_TEST = 20  # independent test images in all, below which no difference can be told from chance
SHOWN = 10  # entries of a list in the text form; the record holds all


def inspect(
    reading: Reading,
    *,
    near_duplicate_correlation: float = THRESHOLD,
    max_bad_fraction: float = 0.1,
    duplicates: Duplicates | None = None,
    test_fraction: float = 0.3,
) -> dict[str, Any]:
    """Describe a data set as a record for ``json.dumps``; ``errors`` would stop a run, ``warnings`` would not.

    ``duplicates`` are those of the reading (`duplicates_of`), found anew if not given. ``test_fraction`` of the images
    will be drawn as test images where the data set gives none.
    """
    frame = reading.frame
    duplicates = duplicates or duplicates_of(reading, near_duplicate_correlation)
    labels = frame["label"].tolist()
    across_classes = [pair for pair in duplicates.pairs if labels[pair.first] != labels[pair.second]]
    leaks = split_leaks(frame, duplicates.pairs)
    errors = faults(reading, max_bad_fraction=max_bad_fraction, conflicts=False)
    conflicts = label_conflicts(frame, duplicates.pairs)
    errors += [f"The same image is in two classes: {_both(reading, pair)}." for pair in conflicts]
    errors += split_faults(frame, duplicates.pairs)
    return {
        "root": str(reading.root),
        "layout": reading.layout,
        "files": counted(reading.account),
        "account": [vars(one) for one in reading.account],
        "images": len(reading.images),
        "channels": channels_of(reading.images),
        "framing": choose_framing("auto", labels, reading.masks),
        "classes": {name: _class(reading, name, duplicates) for name in reading.classes},
        "splits": dict(sorted(Counter(frame["split"]).items())) if any(frame["split"]) else {},
        "sizes": _sizes(reading),
        "modes": dict(sorted(Counter(frame["mode"]).items())),
        "unreadable": [vars(problem) for problem in reading.problems],
        "ignored": reading.ignored,
        "exact_duplicates": [_record(reading, pair) for pair in duplicates.pairs if pair.identical],
        "near_duplicates": [_record(reading, pair) for pair in duplicates.pairs if not pair.identical],
        "in_two_classes": [_record(reading, pair) for pair in across_classes],
        "across_splits": [_record(reading, pair) for pair in leaks],
        "groups": int(duplicates.groups.max()) + 1,
        "largest_group": int(np.bincount(duplicates.groups).max()),
        "notes": [*reading.notes, *likely_notes(frame, duplicates)],
        "warnings": _warnings(reading, duplicates, across_classes, test_fraction),
        "errors": errors,
    }


def _class(reading: Reading, name: str, duplicates: Duplicates) -> dict[str, Any]:
    rows = np.flatnonzero((reading.frame["label"] == name).to_numpy())
    counts = Counter(reading.frame["split"].iloc[rows])
    return {
        "images": len(rows),
        "groups": len(np.unique(duplicates.groups[rows])),
        "with_mask": sum(has_defect(reading.masks[i]) for i in rows),
        **{split: counts[split] for split in ("train", "val", "test") if counts[split]},
    }


def _sizes(reading: Reading) -> dict[str, Any]:
    width, height = reading.frame["width"], reading.frame["height"]
    return {
        "smallest": [int(width.min()), int(height.min())],
        "largest": [int(width.max()), int(height.max())],
        "median": [int(width.median()), int(height.median())],
        "distinct": len(set(zip(width, height, strict=True))),
        "not_square": int((width != height).sum()),
    }


def _warnings(reading: Reading, duplicates: Duplicates, across_classes: list[Pair], test_fraction: float) -> list[str]:
    found = []
    for name in reading.classes:
        rows = np.flatnonzero((reading.frame["label"] == name).to_numpy())
        if len(rows) == 1:
            found.append(
                f"Class {name!r} has one image: no GAN for it, classical augmentation only, and no test image."
            )
        elif len(rows) > 1 and len(np.unique(duplicates.groups[rows])) == 1:
            found.append(
                f"All {len(rows)} images of class {name!r} form one group: none can be held out, so nothing can be "
                "said about how well this class is recognised elsewhere."
            )
    near = [pair for pair in across_classes if not pair.certain]
    if near:
        found.append(f"{len(near)} pair(s) of images look alike and are in two classes: {_both(reading, near[0])}.")
    if reading.problems:
        found.append(f"{len(reading.problems)} file(s) are quarantined and take no part.")
    return [*found, *_few_images(reading), *_imbalance(reading), *_few_test_images(reading, duplicates, test_fraction)]


def _counts(reading: Reading) -> dict[str, int]:
    counts = Counter(reading.frame["label"].tolist())
    return {name: counts[name] for name in reading.classes if counts[name]}


def _few_images(reading: Reading) -> list[str]:
    few = {name: count for name, count in _counts(reading).items() if 1 < count < FEW_IMAGES}
    return [
        f"Class {name!r} has {count} images, too few for a generator to learn from or for a figure of its own; "
        f"{FEW_IMAGES} are the least, see docs/data.md."
        for name, count in few.items()
    ]


def _imbalance(reading: Reading) -> list[str]:
    counts = _counts(reading)
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[largest] < IMBALANCE * counts[smallest]:
        return []
    return [
        (
            f"Class {largest!r} has {counts[largest]} images and {smallest!r} {counts[smallest]}: a classifier that "
            "never says the rare one is nearly always right. Go by balanced accuracy or "
            "costs, and collect more of the rare one."
        )
    ]


def _few_test_images(reading: Reading, duplicates: Duplicates, test_fraction: float) -> list[str]:
    """Of the given test split, else of the one that will be drawn; images of one group count once."""
    tested = (reading.frame["split"] == "test").to_numpy()
    if tested.any():
        independent, held = len(np.unique(duplicates.groups[tested])), "The test split holds"
        mend = "Move more images there, or give no split and one is drawn."
    else:
        independent, held = (
            round(test_fraction * len(np.unique(duplicates.groups))),
            "The test split that is drawn holds about",
        )
        mend = "Collect more images, or raise data.test_fraction."
    if independent >= FEW_TEST:
        return []
    return [
        (
            f"{held} {independent} independent image(s), too few for a verdict: below {FEW_TEST} hardly any difference "
            f"can be told from chance. {mend}"
        )
    ]


def _record(reading: Reading, pair: Pair) -> dict[str, Any]:
    rows = reading.frame.iloc[[pair.first, pair.second]]
    return {
        "paths": rows["path"].tolist(),
        "labels": rows["label"].tolist(),
        "correlation": pair.correlation,
        "identical": pair.identical,
        "certain": pair.certain,
    }


def _both(reading: Reading, pair: Pair) -> str:
    first, second = (reading.frame.iloc[row] for row in (pair.first, pair.second))
    return f"{first['path']!r} and {second['path']!r}"


def render(record: dict[str, Any]) -> str:
    """The record of ``inspect`` as text for a terminal."""
    sizes = record["sizes"]
    stored_anew = sum(pair["certain"] for pair in record["near_duplicates"])
    lines = [
        f"{record['root']}  ({record['images']} images, {record['channels']} channel(s))",
        f"read as  {record['layout']}",
        (
            f"sizes    {_size(sizes['smallest'])} to {_size(sizes['largest'])}, median {_size(sizes['median'])}, "
            f"{sizes['distinct']} different, {sizes['not_square']} not square"
        ),
        f"modes    {', '.join(f'{mode} {count}' for mode, count in record['modes'].items())}",
        f"framing  {record['framing']} (what `auto` chooses)",
        *_files([FileUse(**one) for one in record["account"]]),
        "",
        *_table(record["classes"]),
        "",
        (
            f"{len(record['exact_duplicates'])} identical pair(s), {stored_anew} stored anew, "
            f"{len(record['near_duplicates']) - stored_anew} that look alike; {record['groups']} groups, the largest "
            f"of {record['largest_group']} image(s)"
        ),
    ]
    lines += _list("unreadable", [f"{item['path']!r}: {item['detail']}" for item in record["unreadable"]])
    pairs = [f"{a!r} and {b!r}" for a, b in (item["paths"] for item in record["in_two_classes"])]
    lines += _list("alike in two classes", pairs)
    for heading in ("notes", "warnings", "errors"):
        lines += _list(heading, record[heading])
    lines += _list("forecast", record.get("forecast", {}).get("said", []))
    return "\n".join(lines)


def _files(uses: list[FileUse]) -> list[str]:
    """What became of all files of the folder, a line for each use and reason."""
    lines = [
        f"         {count} {USES[use]}{': ' if reason else ''}{reason}"
        for (use, reason), count in reasons(uses).items()
    ]
    return [f"files    {len(uses)}", *lines]


def _size(size: list[int]) -> str:
    return f"{size[0]}x{size[1]}"


def _table(classes: dict[str, dict[str, Any]]) -> list[str]:
    columns = ["images", "groups", "with_mask", "train", "val", "test"]
    columns = [name for name in columns if any(row.get(name) for row in classes.values())]
    width = max(len("class"), *(len(name) for name in classes))
    head = "class".ljust(width) + "".join(name.replace("_", " ").rjust(16) for name in columns)
    return [
        head,
        *(name.ljust(width) + "".join(str(row.get(c, 0)).rjust(16) for c in columns) for name, row in classes.items()),
    ]


def _list(heading: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = [f"  and {len(items) - SHOWN} more (--json lists all)"] if len(items) > SHOWN else []
    return ["", f"{heading}:", *(f"  {item}" for item in items[:SHOWN]), *more]
