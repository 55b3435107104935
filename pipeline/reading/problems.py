"""What can be wrong with one file, in words a quality engineer can act on."""

from dataclasses import dataclass

KINDS: dict[str, str] = {
    "empty_file": "the file has no content",
    "not_an_image": "the content is not an image, whatever the name says",
    "truncated": "the image ends early or its data is damaged",
    "undecodable": "the image cannot be decoded",
    "too_large": "the image declares more pixels or bytes than the limit",
    "too_small": "the image is below the smallest usable side",
    "aspect": "the image is longer than 20 times its width",
    "multipage": "the file holds several pages or frames",
    "depth": "pixels of this depth or with these channels are not read",
    "link_outside": "the link leaves the data set",
    "link_loop": "the link leads back to itself or to nothing",
    "missing": "the file does not exist",
    "unreadable": "the file cannot be opened",
    "name": "the file name is not valid Unicode, so no manifest could hold it",
    "mask_unreadable": "the mask of this image cannot be used",
    "mask_size": "the mask and the image differ in size",
    "mask_grey": "the mask is not black and white",
    "annotation": "the annotation of this image cannot be used",
    "annotation_size": "the annotation and the image differ in size",
}


@dataclass(frozen=True)
class Problem:
    """One quarantined file: ``path`` relative to the data set, ``kind`` a key of KINDS, ``detail`` one sentence."""

    path: str
    kind: str
    detail: str


class BadFile(Exception):
    """Raised while one file is looked at; the reader turns it into a Problem and goes on."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or KINDS[kind])
        self.kind = kind


class ForeignFormat(Exception):
    """The content is a format outside PNG, JPEG, BMP, TIFF and WebP: ignored with a count, never decoded."""
