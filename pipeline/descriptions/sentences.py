"""From measured attributes to words an engineer would use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.descriptions.measures import Measures

THIRDS = (1 / 3, 2 / 3)
# Words are relative to the training images, but not beyond what the word can mean: a quantile outside of its range is
# brought to the range's end.
SLENDER = (3.0, 6.0)  # length over width of what may be the limit of "thin"
FAINT = (10.0, 30.0)  # grey levels that may be the limit of "faint"
SIZE_RATIO = 1.5  # of the upper to the lower third of areas: below it, all are of one size
BACKGROUND_GAP = 12.0  # grey levels between the thirds: below it, all backgrounds are alike
LONG = 0.4  # sides of the image
STRAIGHT, ALIGNED = 1.8, 0.7  # ratio of the axes, and agreement of the parts, of something that has a direction
ROUND = 0.65  # filled share of the enclosing circle of something round, at least; of a square it is 0.64
RAGGED = 0.8  # filled share of the hull of something irregular, at most
THIN = 3.0  # ratio of the axes of something thin, at least: a net of lines is slender, too
SPREAD = 7  # of 3x3 cells
BOTH = 0.4  # contrast to the weaker side over that to the stronger, at least, of something dark and bright
FEW, COVERING = 4, 0.5  # parts; share of the image


@dataclass(frozen=True)
class Scales:
    """Where words begin and end: below the first number, above the second; None where all images are alike."""

    area: tuple[float, float] | None
    background: tuple[float, float] | None
    slender: float
    faint: float

    @classmethod
    def fit(cls, training: Sequence[Measures]) -> "Scales":
        """Thirds of the training images, so that each word tells some of them from others."""
        marked = [m for m in training if m.parts]
        area = _thirds([m.area for m in marked])
        background = _thirds([m.background for m in training])
        slender = np.quantile([m.slenderness for m in marked], THIRDS[1]) if marked else SLENDER[0]
        faint = np.quantile([max(m.darker, m.brighter) for m in marked], THIRDS[0]) if marked else FAINT[0]
        return cls(
            area=area if area[1] > SIZE_RATIO * area[0] else None,
            background=background if background[1] > background[0] + BACKGROUND_GAP else None,
            slender=float(np.clip(slender, *SLENDER)),
            faint=float(np.clip(faint, *FAINT)),
        )


def _thirds(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, THIRDS) if values else (0.0, 0.0)
    return float(low), float(high)


def sentence(found: Measures, scales: Scales, class_name: str) -> str:
    """One sentence, such as "long thin dark scratch, diagonal, in the centre, bright background"."""
    name = noun(class_name)
    background = _word(found.background, scales.background, ("dark", "mid-tone", "bright"))
    ground = [f"{background} background"] if background else []
    if not found.parts:
        return ", ".join([name, "no distinct mark", *ground])
    size = _word(found.area, scales.area, ("small", "medium-sized", "large"))
    thing = " ".join(word for word in (size, _shape(found, scales), _contrast(found, scales), name) if word)
    return ", ".join([thing, *_parts(found), *_direction(found), _place(found), *ground])


def noun(class_name: str) -> str:
    """The class's name in words and in the singular: "Surface_Scratches" becomes "surface scratch"."""
    return singular(" ".join(re.split(r"[\W_]+", class_name.lower())).strip() or class_name)


def singular(word: str) -> str:
    """English plurals without their ending; other words as they are."""
    if re.search(r"(ch|sh|x|ss)es$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^siu]s$", word) and len(word) > 3 else word


def _word(value: float, limits: tuple[float, float] | None, words: tuple[str, str, str]) -> str:
    if limits is None:
        return ""
    return words[0] if value < limits[0] else words[2] if value > limits[1] else words[1]


def _shape(found: Measures, scales: Scales) -> str:
    if found.slenderness >= scales.slender and found.elongation >= THIN:
        return "long thin" if found.length >= LONG else "short thin"
    if found.roundness >= ROUND:
        return "round"
    return "irregular" if found.solidity <= RAGGED else ""


def _contrast(found: Measures, scales: Scales) -> str:
    weaker, stronger = sorted((found.darker, found.brighter))
    if weaker > BOTH * stronger:
        return "dark and bright"
    kind = "dark" if found.darker > found.brighter else "bright"
    return f"faint {kind}" if stronger < scales.faint else kind


def _parts(found: Measures) -> list[str]:
    if found.parts == 1:
        return []
    return ["a few spots" if found.parts <= FEW else "many spots"]


def _direction(found: Measures) -> list[str]:
    if found.elongation < STRAIGHT or found.aligned < ALIGNED:
        return []
    return [("horizontal", "diagonal", "vertical", "diagonal")[int((found.angle + 22.5) // 45) % 4]]


def _place(found: Measures) -> str:
    scattered = found.parts > 1 or found.solidity <= RAGGED or found.area >= COVERING
    if found.cells >= SPREAD and scattered:
        return "all over"
    x, y = (min(int(3 * at), 2) for at in found.centre)
    if (x, y) == (1, 1):
        return "in the centre"
    rows, columns = ("top", "", "bottom"), ("left", "", "right")
    where = f"{rows[y]} {columns[x]}".strip()
    return f"on the {where}" if y == 1 else f"at the {where}"
