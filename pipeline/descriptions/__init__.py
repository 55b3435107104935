"""A sentence for every image: measured and put into words, or supplied; and sentences as vectors."""

from collections.abc import Sequence

from pipeline.descriptions.description_csv import check_paths, read_descriptions
from pipeline.descriptions.embedding import SentenceEmbedding
from pipeline.descriptions.measures import Measures, Picture, measure
from pipeline.descriptions.sentences import Scales, sentence

__all__ = [
    "Measures",
    "Scales",
    "SentenceEmbedding",
    "check_paths",
    "describe",
    "measure",
    "read_descriptions",
    "sentence",
]


def describe(
    images: Sequence[Picture], masks: Sequence[Picture | None], class_names: Sequence[str], training: Sequence[bool]
) -> list[str]:
    """A sentence for each square image, from its measured attributes; words are relative to the training images.

    `images` are grey `uint8 [S, S]` or RGB `[S, S, 3]`; a mask `[S, S]` is None where there is none, and empty where
    there is no defect.
    """
    found = [measure(image, mask) for image, mask in zip(images, masks, strict=True)]
    scales = Scales.fit([m for m, counts in zip(found, training, strict=True) if counts])
    return [sentence(m, scales, name) for m, name in zip(found, class_names, strict=True)]
