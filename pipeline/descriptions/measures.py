"""What can be measured of the defect in one image: how big, how long, which way, where, against what."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Region = NDArray[np.bool_]

SIDE = 128  # every image is measured at this side, so that no figure depends on the resolution
BLUR = 1.5  # pixels
COARSE, ROUNDS = 7, 10  # every seventh pixel is enough for a surface; rounds until it no longer moves
BAND = (5, 25)  # pixels: the band around a defect is what the second dilation adds to the first
LEAST_CONTRAST = 8.0  # grey levels that a salient pixel stands out by at least
LEAST_PIXELS = 24  # of a salient part: a disc of 5.5 pixels, 4 % of the side
LEAST_SHARE = 0.1  # of the largest part's pixels that another part must have to count
LEAST_STRENGTH = 0.5  # of the stronger side's cubed contrast that the weaker side must have to count
GAP = 5  # parts of a mask closer than this many pixels are one
FIFTHS = (0.2, 0.5, 0.8)
CELLS = 3  # the picture is divided into 3x3 cells
LEAST_IN_CELL = 0.03  # of the region's pixels: fewer do not count as being in a cell


@dataclass(frozen=True)
class Measures:
    """Measured attributes; lengths in sides of the image, grey levels 0..255, angles in degrees.

    `area` is a share of the image, 0 without a defect. `slenderness` is length over width: 1.8 for a disc, about l/w
    for a line however it bends. `elongation` is the ratio of the axes and `angle`, in [0, 180), the direction of the
    longer one, 0 horizontal and 90 vertical; `aligned` in [0, 1] says how far the parts agree on it. `solidity` is the
    share of the convex hull that is filled, `roundness` that of the enclosing circle. `centre` is x, y from the top
    left. `cells` of the 3x3 hold the defect. Its dark pixels are `darker` than those around it, the bright `brighter`.
    """

    area: float = 0.0
    parts: int = 0
    slenderness: float = 0.0
    length: float = 0.0
    elongation: float = 1.0
    solidity: float = 0.0
    roundness: float = 0.0
    angle: float = 0.0
    aligned: float = 0.0
    centre: tuple[float, float] = (0.5, 0.5)
    cells: int = 0
    darker: float = 0.0
    brighter: float = 0.0
    background: float = 0.0


def measure(image: Picture, mask: Picture | None = None) -> Measures:
    """Measure a square image, grey `uint8 [S, S]` or RGB `[S, S, 3]`, and its mask `[S, S]`, above 0 on the defect.

    Without a mask the defect is what stands out from the local background; a mask that marks nothing means none.
    """
    grey = _resized(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) if image.ndim == 3 else image)
    smooth = cv2.GaussianBlur(grey, (0, 0), BLUR).astype(np.float32)
    if mask is None:
        deviation = smooth - _background(smooth)
        parts = _parts(_salient(deviation), gap=1, least=LEAST_PIXELS)
    else:  # a quarter of a pixel is enough: thin lines survive
        deviation = smooth
        parts = _parts([_resized(np.where(mask > 0, 255, 0).astype(np.uint8)) >= 64], gap=GAP, least=1)
    if not parts:
        return Measures(background=float(np.median(grey)))
    region = np.logical_or.reduce(parts)
    around = _around(region)
    weights = np.array([np.count_nonzero(part) for part in parts]) / np.count_nonzero(region)
    slenderness, length, elongation, solidity, roundness, angle = np.array([_shape(part) for part in parts]).T
    # An axis has no head: angles are averaged doubled, and a part counts by how clear its axis is.
    clear = weights * (1 - 1 / elongation)
    axis = np.sum(clear * np.exp(2j * np.radians(angle)))
    darker, brighter = _contrast(deviation[region], deviation[around])
    rows, columns = np.nonzero(region)
    return Measures(
        area=float(region.mean()),
        parts=len(parts),
        slenderness=float(weights @ slenderness),
        length=float(length.max()),
        elongation=float(weights @ elongation),
        solidity=float(weights @ solidity),
        roundness=float(weights @ roundness),
        angle=float(np.degrees(np.angle(axis)) / 2 % 180),
        aligned=float(abs(axis) / max(clear.sum(), 1e-9)),
        centre=(float((columns.mean() + 0.5) / SIDE), float((rows.mean() + 0.5) / SIDE)),
        cells=_cells(rows, columns),
        darker=darker,
        brighter=brighter,
        background=float(np.median(grey[around])),
    )


def _resized(picture: Picture) -> Picture:
    method = cv2.INTER_AREA if picture.shape[0] > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=method), np.uint8)


def _background(smooth: NDArray[np.float32]) -> NDArray[np.float32]:
    """The surface of second degree with the least absolute deviation: uneven light, but no defect below half the area.

    Least absolute deviations by least squares with weights 1/|residual|, repeated.
    """
    y, x = (np.mgrid[0:SIDE, 0:SIDE].reshape(2, -1) + 0.5) / SIDE * 2 - 1
    basis = np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    some, values = basis[::COARSE], smooth.reshape(-1)[::COARSE]
    weights = np.ones_like(values)
    for _ in range(ROUNDS):
        root = np.sqrt(weights)
        surface = np.linalg.lstsq(some * root[:, None], values * root, rcond=None)[0]
        weights = 1 / np.maximum(np.abs(values - some @ surface), 1)
    return np.asarray(basis @ surface, np.float32).reshape(SIDE, SIDE)


def _salient(deviation: NDArray[np.float32]) -> list[Region]:
    """What is darker than the background, or brighter, by more than Otsu's rule leaves to the noise.

    Both only if neither has by far the stronger contrast: beside a dark mark, the noise has bright pixels too. Cubes,
    because a mark is what stands out far rather than what is large.
    """
    size = np.abs(deviation)
    otsu, _ = cv2.threshold(size.clip(0, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    out = size > max(otsu, LEAST_CONTRAST)
    sides = [out & (deviation < 0), out & (deviation > 0)]
    strength = [float((size[side] ** 3).sum()) for side in sides]
    return [side for side, mine in zip(sides, strength, strict=True) if mine > LEAST_STRENGTH * max(strength)]


def _around(region: Region) -> Region:
    """A band around the region, or as much as there is of what lies outside of it."""
    inner, outer = (cv2.dilate(region.astype(np.uint8), np.ones((k, k), np.uint8)).astype(bool) for k in BAND)
    return next((band for band in (outer & ~inner, ~region) if band.any()), region)


def _contrast(inside: NDArray[np.float32], outside: NDArray[np.float32]) -> tuple[float, float]:
    """Grey levels by which the darkest fifth or the middle is darker than outside, and the brightest brighter."""
    low, middle, high = np.quantile(inside, FIFTHS) - np.quantile(outside, FIFTHS)
    return max(0.0, -float(min(low, middle))), max(0.0, float(max(middle, high)))


def _parts(regions: list[Region], *, gap: int, least: int) -> list[Region]:
    """The connected parts of the regions, the largest first, without specks; `gap` pixels do not disconnect."""
    parts = []
    for region in regions:
        joined = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
        count, which = cv2.connectedComponents(joined)
        parts += [region & (which == k) for k in range(1, count)]
    parts.sort(key=np.count_nonzero, reverse=True)
    bar = max(least, LEAST_SHARE * np.count_nonzero(parts[0])) if parts else 0
    return [part for part in parts if np.count_nonzero(part) >= bar]


def _shape(part: Region) -> tuple[float, ...]:
    """Slenderness, length, elongation, solidity, roundness and angle of one part."""
    pixels = part.astype(np.uint8)
    depth = cv2.distanceTransform(np.pad(pixels, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1][part] - 0.5
    width = 4 * float(depth.mean())  # of a strip: depth rises from 0 to half of the width and falls again
    area = float(pixels.sum())
    rows, columns = np.nonzero(part)
    spread = np.cov(columns, rows, bias=True) + np.eye(2) / 12  # 1/12: the extent of a pixel
    (short, long), axes = np.linalg.eigh(spread)
    outline = np.column_stack([columns, rows]).astype(np.int32)
    hull, radius = cv2.contourArea(cv2.convexHull(outline)), cv2.minEnclosingCircle(outline)[1] + 0.5
    length = float(np.ptp(axes[:, 1] @ [columns, rows]) + 1)
    angle = float(np.degrees(np.arctan2(-axes[1, 1], axes[0, 1])) % 180)  # rows run downwards
    filled, round_ = min(1.0, area / max(hull, 1)), min(1.0, area / (np.pi * radius**2))
    return area / width**2, length / SIDE, float(np.sqrt(long / short)), filled, round_, angle


def _cells(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> int:
    filled = np.bincount(rows * CELLS // SIDE * CELLS + columns * CELLS // SIDE, minlength=CELLS**2)
    return int(np.count_nonzero(filled >= LEAST_IN_CELL * len(rows)))
