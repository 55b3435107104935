"""Renders the small image set that ships with the project: defects on metal surfaces, 8-bit grey, 64 to 96 pixels.

A plate is a relief and a reflectance on a grid twice as fine as the sensor. A finish lays the sound surface, blemishes
that any part may carry come next, then one defect; a camera lights, blurs, samples and compresses it. All lengths are
sensor pixels.

    python data/render.py --out data/sample --seed 0
"""

import argparse
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial import cKDTree

# float64 throughout: SIMD variants of exp and sin differ in the last bits, which then hardly ever reach a grey level.
Field = NDArray[np.float64]
Image = NDArray[np.uint8]

PER_CLASS = {"train": 40, "test": 60}
SIDES = (64, 96)
OVERSAMPLING = 2


@dataclass
class Plate:
    """A piece of surface: coordinates `y`, `x`, relief and reflectance, all float64 [H, W]; `grain` in radians."""

    y: Field
    x: Field
    relief: Field
    reflectance: Field
    grain: float

    @property
    def height(self) -> float:
        return self.y.shape[0] / OVERSAMPLING

    @property
    def width(self) -> float:
        return self.y.shape[1] / OVERSAMPLING

    def point(self, rng: Generator, margin: float = 0.12) -> tuple[float, float]:
        """A random (y, x) at least `margin` of the side away from every edge."""
        return self.height * rng.uniform(margin, 1 - margin), self.width * rng.uniform(margin, 1 - margin)

    def along_across(self, centre: tuple[float, float], angle: float) -> tuple[Field, Field]:
        """Coordinates along and across a direction, with the origin in `centre`."""
        dy, dx = self.y - centre[0], self.x - centre[1]
        return np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx


def blank_plate(height: int, width: int, grain: float) -> Plate:
    """A flat, uniformly grey plate of `height` x `width` sensor pixels."""
    rows, columns = ((np.arange(side * OVERSAMPLING) + 0.5) / OVERSAMPLING for side in (height, width))
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return Plate(y, x, np.zeros_like(y), np.ones_like(y), grain)


def noise(rng: Generator, plate: Plate, along: float, across: float, roughness: float = 2.0) -> Field:
    """Gaussian noise of zero mean and unit deviation with Matérn-like amplitude (1 + |l k|^2)^(-roughness/2).

    `along` and `across` are correlation lengths along and across the plate's grain; the lower the roughness
    exponent, the more fine detail.
    """
    # Twice the area is drawn, then cropped: the spectrum is periodic, a surface is not.
    rows, columns = 2 * plate.y.shape[0], 2 * plate.y.shape[1]
    ky = np.fft.fftfreq(rows, 1 / OVERSAMPLING)[:, None] * 2 * np.pi
    kx = np.fft.rfftfreq(columns, 1 / OVERSAMPLING)[None, :] * 2 * np.pi
    k_along = np.cos(plate.grain) * kx + np.sin(plate.grain) * ky
    k_across = np.cos(plate.grain) * ky - np.sin(plate.grain) * kx
    amplitude = (1 + (along * k_along) ** 2 + (across * k_across) ** 2) ** (-roughness / 2)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((rows, columns))) * amplitude, s=(rows, columns))
    field = field[: rows // 2, : columns // 2]
    return (field - field.mean()) / field.std()


def step(signed: Field, softness: float) -> Field:
    """A smooth step from 0 (negative) to 1 (positive) over about `softness`."""
    return 0.5 * (1 + np.tanh(signed / softness))


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """A draw whose logarithm is uniform: as many weak small defects as strong large ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# ---- finishes: the sound surface -------------------------------------------------------------------------------------


def cold_rolled(rng: Generator, plate: Plate) -> None:
    """Fine rolling grain, slow mottling and faint bands of the roll."""
    plate.reflectance += rng.uniform(0.02, 0.05) * noise(rng, plate, 14, 0.5)
    plate.reflectance += rng.uniform(0.02, 0.06) * noise(rng, plate, 30, 6)
    plate.relief += 0.08 * noise(rng, plate, 2, 0.6)


def ground(rng: Generator, plate: Plate) -> None:
    """Long parallel grinding marks, some of them deep."""
    marks = noise(rng, plate, 60, 0.35, 1.6)
    plate.relief += rng.uniform(0.15, 0.3) * (marks - 0.5 * np.maximum(marks - 1.2, 0))
    plate.reflectance += rng.uniform(0.02, 0.05) * noise(rng, plate, 50, 2.5)


def hot_rolled(rng: Generator, plate: Plate) -> None:
    """Mill scale: cloudy oxide of many sizes over a rough skin."""
    plate.reflectance += rng.uniform(0.04, 0.08) * noise(rng, plate, 7, 3.5, 1.5)
    plate.relief += rng.uniform(0.12, 0.22) * noise(rng, plate, 1.5, 1.0)


def blasted(rng: Generator, plate: Plate) -> None:
    """A cast or shot-blasted skin: isotropic relief."""
    grit = rng.uniform(0.7, 1.5)
    plate.relief += rng.uniform(0.2, 0.35) * grit * noise(rng, plate, grit, grit, 2.5)
    plate.reflectance += rng.uniform(0.02, 0.05) * noise(rng, plate, 8, 8)


def turned(rng: Generator, plate: Plate) -> None:
    """Feed marks of a lathe or a face mill: nearly periodic arcs."""
    radius = log_uniform(rng, 120, 900)
    along, across = plate.along_across((plate.height / 2, plate.width / 2), plate.grain)
    phase = (across + along**2 / (2 * radius)) / rng.uniform(3.0, 6.5) + 0.08 * noise(rng, plate, 40, 4)
    plate.relief += rng.uniform(0.08, 0.22) * np.sin(2 * np.pi * phase) + 0.08 * noise(rng, plate, 20, 0.4)
    plate.reflectance += rng.uniform(0.02, 0.05) * noise(rng, plate, 20, 6)


FINISHES = {f.__name__: f for f in (cold_rolled, ground, hot_rolled, blasted, turned)}


# ---- marks shared by blemishes and defects ---------------------------------------------------------------------------


def groove(
    rng: Generator, plate: Plate, *, angle: float, length: float, width: float, depth: float, gleam: float
) -> None:
    """One slightly bent, partly interrupted line: a groove with raised lips, brighter (gleam > 0) or darker inside."""
    along, across = plate.along_across(plate.point(rng), angle)
    bend = rng.normal(0, 0.12) / length
    wander = bend * along**2 + 0.4 * np.sin(along / rng.uniform(6, 20) + rng.uniform(0, 6))
    # Pressure varies along the line: the tool lifts, and the line breaks.
    pressure = 0.75 + 0.35 * np.sin(along / rng.uniform(4, 18) + rng.uniform(0, 6)) + 0.35 * noise(rng, plate, 4, 4)
    pressure = np.clip(pressure, 0, 1.3) * step(length / 2 - np.abs(along), 2.0)
    offset = (across - wander) / (width * (0.6 + 0.4 * np.minimum(pressure, 1)))
    plate.relief -= depth * pressure * (np.exp(-(offset**2)) - 0.45 * np.exp(-((np.abs(offset) - 1.7) ** 2)))
    plate.reflectance += gleam * pressure * np.exp(-(offset**2))


def blotch(rng: Generator, plate: Plate, *, size: float, ragged: float, soft: float) -> Field:
    """A mask in 0..1 of an irregular spot of about `size`, drawn out along the grain."""
    stretch = rng.uniform(1, 2.2)
    along, across = plate.along_across(plate.point(rng), plate.grain)
    distance = np.hypot(along / stretch**0.5, across * stretch**0.5) / size
    return step(1 - distance + ragged * noise(rng, plate, 0.5 * size, 0.3 * size, 1.8), soft)


# ---- blemishes: on sound and defective parts alike, so that none of them gives the class away ------------------------


def dust(rng: Generator, plate: Plate) -> None:
    """A few specks and fibres lying on the surface: no rim, no depth."""
    for _ in range(rng.integers(1, 5)):
        along, across = plate.along_across(plate.point(rng, 0.02), rng.uniform(0, np.pi))
        length, width = rng.uniform(0.6, 4), rng.uniform(0.5, 0.9)
        plate.reflectance += (
            rng.choice([-1, -1, 1]) * rng.uniform(0.12, 0.4) * np.exp(-((along / length) ** 2) - (across / width) ** 2)
        )


def stain(rng: Generator, plate: Plate) -> None:
    """A faint dried film of coolant or oil with a soft edge."""
    mask = blotch(rng, plate, size=rng.uniform(8, 22), ragged=0.15, soft=0.6)
    plate.reflectance += rng.choice([-1, 1]) * rng.uniform(0.05, 0.11) * mask


def rub(rng: Generator, plate: Plate) -> None:
    """Light rub marks of handling, parallel to the grain: far weaker than a scratch."""
    for _ in range(rng.integers(1, 4)):
        angle, gleam = plate.grain + rng.normal(0, 0.05), rng.choice([-1, 1, 1]) * rng.uniform(0.06, 0.15)
        groove(
            rng, plate, angle=angle, length=rng.uniform(15, 60), width=rng.uniform(0.4, 0.8), depth=0.12, gleam=gleam
        )


BLEMISHES: dict[Callable[[Generator, Plate], None], float] = {dust: 0.5, stain: 0.5, rub: 0.45}


# ---- defects ---------------------------------------------------------------------------------------------------------


def good(rng: Generator, plate: Plate) -> None:
    """A sound surface: finish and blemishes only."""


def scratch(rng: Generator, plate: Plate) -> None:
    """One to five thin bright or dark lines in about one direction, most of them bright."""
    heading, strength = rng.uniform(0, np.pi), log_uniform(rng, 0.38, 1.0)
    sign = 1 if rng.random() < 0.8 else -0.6
    for _ in range(rng.choice([1, 1, 2, 2, 3, 4, 5])):
        angle, length = heading + rng.normal(0, 0.12), log_uniform(rng, 35, 110)
        width, depth = log_uniform(rng, 0.5, 1.5), strength * rng.uniform(0.5, 1.6)
        groove(rng, plate, angle=angle, length=length, width=width, depth=depth, gleam=sign * strength)


def pit(rng: Generator, plate: Plate) -> None:
    """A cluster of small craters, dark inside; the slope that faces the light forms a bright rim."""
    centre, spread = plate.point(rng, 0.25), log_uniform(rng, 8, 30)
    strength, size = log_uniform(rng, 0.3, 0.75), log_uniform(rng, 1.1, 2.2)
    ragged = 0.22 * noise(rng, plate, size, size)
    for _ in range(int(log_uniform(rng, 8, 50))):
        place = (centre[0] + rng.normal(0, spread), centre[1] + rng.normal(0, spread))
        along, across = plate.along_across(place, rng.uniform(0, np.pi))
        radius, oval = size * np.exp(rng.normal(0, 0.3)), rng.uniform(1, 1.5)
        inside = step(1 - np.hypot(along / oval, across) / radius + ragged, 0.4)
        plate.relief -= 2.2 * strength * radius * inside
        plate.reflectance -= strength * rng.uniform(0.4, 1.0) * inside


def inclusion(rng: Generator, plate: Plate) -> None:
    """Non-metallic stringers: dark ragged streaks drawn out along the grain, often several behind one another."""
    line, strength = plate.point(rng, 0.25), log_uniform(rng, 0.28, 0.65)
    direction = np.array([np.sin(plate.grain), np.cos(plate.grain)])
    normal = np.array([np.cos(plate.grain), -np.sin(plate.grain)])
    ragged = 0.35 * noise(rng, plate, 4, 0.8, 1.8)
    for _ in range(rng.integers(3, 9)):
        place = line + direction * rng.normal(0, 14) + normal * rng.normal(0, 4)
        along, across = plate.along_across((place[0], place[1]), plate.grain + rng.normal(0, 0.04))
        half_length, half_width = log_uniform(rng, 5, 18), log_uniform(rng, 0.8, 2.2)
        inside = step(1 - np.hypot(along / half_length, across / half_width) + ragged, 0.35)
        plate.relief -= 0.3 * strength * inside
        plate.reflectance -= strength * rng.uniform(0.6, 1.1) * inside


def patch(rng: Generator, plate: Plate) -> None:
    """One to three large irregular areas of other reflectance, mostly dark, in which the finish is dulled."""
    strength = (-1 if rng.random() < 0.75 else 0.65) * log_uniform(rng, 0.25, 0.6)
    ragged, soft = rng.uniform(0.25, 0.5), rng.uniform(0.1, 0.35)
    sizes = [log_uniform(rng, 9, 25) for _ in range(rng.choice([1, 1, 2, 3]))]
    mask = np.max([blotch(rng, plate, size=size, ragged=ragged, soft=soft) for size in sizes], axis=0)
    plate.relief *= 1 - 0.5 * mask
    plate.reflectance += strength * mask * (1 + 0.15 * noise(rng, plate, 2, 1))


def crazing(rng: Generator, plate: Plate) -> None:
    """A fine network of cracks, dense or fading out: edges of Voronoi cells in warped coordinates."""
    cell = log_uniform(rng, 6, 11)
    warp_y, warp_x = (0.22 * cell * noise(rng, plate, 0.5 * cell, 0.5 * cell) for _ in range(2))
    y, x = plate.y + warp_y, plate.x + warp_x
    # One seed a square, moved at random: seeds drawn freely come in pairs, whose edge would be a blot.
    squares = np.mgrid[-2 : plate.height / cell + 2, -2 : plate.width / cell + 2].reshape(2, -1).T
    seeds = cell * (squares + rng.uniform(0.1, 0.9, squares.shape))
    nearest, second = np.moveaxis(cKDTree(seeds).query(np.stack([y, x], -1), k=2)[0], -1, 0)
    open_here = np.clip(0.75 + 0.5 * noise(rng, plate, cell, cell), 0, 1.3)
    region = blotch(rng, plate, size=log_uniform(rng, 35, 80), ragged=0.3, soft=0.3)
    crack = np.exp(-(((second - nearest) / log_uniform(rng, 0.8, 1.5)) ** 2)) * open_here * region
    strength = log_uniform(rng, 0.3, 0.65)
    plate.relief -= strength * crack
    plate.reflectance -= strength * crack


DEFECTS = {f.__name__: f for f in (crazing, good, inclusion, patch, pit, scratch)}


# ---- camera ----------------------------------------------------------------------------------------------------------


def illumination(rng: Generator, plate: Plate) -> Field:
    """Relative irradiance: a linear fall-off, a vignette and sometimes the hot spot of a lamp."""
    y, x = plate.y / plate.height - 0.5, plate.x / plate.width - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.4) * (np.cos(angle) * x + np.sin(angle) * y) - rng.uniform(0, 0.3) * (x**2 + y**2)
    if rng.random() < 0.3:
        spot_y, spot_x = rng.uniform(-0.5, 0.5, 2)
        light += rng.uniform(0.1, 0.3) * np.exp(
            -((y - spot_y) ** 2 + (x - spot_x) ** 2) / (2 * rng.uniform(0.2, 0.4) ** 2)
        )
    return light


def photograph(rng: Generator, plate: Plate) -> Image:
    """The plate under slanting light, through lens, sensor, gamma and mostly a JPEG step: uint8 [H, W]."""
    azimuth = rng.uniform(0, 2 * np.pi)
    slope_y, slope_x = np.gradient(plate.relief, 1 / OVERSAMPLING)
    shading = np.tanh(rng.uniform(0.25, 0.5) * (np.cos(azimuth) * slope_x + np.sin(azimuth) * slope_y))
    radiance = np.maximum(plate.reflectance, 0.05) * (1 + shading) * illumination(rng, plate)
    radiance = cv2.GaussianBlur(radiance, (0, 0), OVERSAMPLING * rng.uniform(0.25, 0.55), borderType=cv2.BORDER_REFLECT)
    rows, columns = plate.y.shape[0] // OVERSAMPLING, plate.y.shape[1] // OVERSAMPLING
    sensed = radiance.reshape(rows, OVERSAMPLING, columns, OVERSAMPLING).mean((1, 3)) * rng.uniform(0.28, 0.75)
    # Shot noise grows with the signal, read noise does not.
    sensed += np.sqrt(rng.uniform(1e-5, 2e-4) * np.maximum(sensed, 0) + 2e-5) * rng.standard_normal(sensed.shape)
    grey = 255 * np.clip(sensed, 0, 1) ** rng.uniform(0.75, 1.15)
    image = np.rint(grey).astype(np.uint8)
    if rng.random() < 0.6:
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 97))])
        image = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE).astype(np.uint8)
    return image


# ---- the set ---------------------------------------------------------------------------------------------------------


def render(label: str, split: str, index: int, seed: int) -> Image:
    """Image `index` of a class in a split: uint8 [H, W], the sides in 64..96. Equal arguments give equal pixels.

    Each image has a random stream of its own, so no two share a background. Raises ValueError on an unknown class or
    split.
    """
    for value, known in ((label, DEFECTS), (split, PER_CLASS)):
        if value not in known:
            raise ValueError(f"{value!r} is not one of {', '.join(known)}.")
    rng = np.random.default_rng([seed, zlib.crc32(f"{split}/{label}".encode()), index])
    height = int(rng.integers(SIDES[0], SIDES[1] + 1))
    width = int(np.clip(height + rng.integers(-6, 7), *SIDES))
    # Parts lie in a fixture: the grain is upright or level, give or take a few degrees.
    grain = np.pi / 2 * float(rng.random() < 0.6) + rng.normal(0, 0.08)
    plate = blank_plate(height, width, grain)
    FINISHES[str(rng.choice(sorted(FINISHES)))](rng, plate)
    for blemish, chance in BLEMISHES.items():
        if rng.random() < chance:
            blemish(rng, plate)
    DEFECTS[label](rng, plate)
    return photograph(rng, plate)


def write_set(out: Path, seed: int) -> None:
    """Writes `out`/SPLIT/CLASS/CLASS_NNN.png for the whole set."""
    for split, count in PER_CLASS.items():
        for label in DEFECTS:
            folder = out / split / label
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                _, png = cv2.imencode(".png", render(label, split, index, seed))
                (folder / f"{label}_{index:03d}.png").write_bytes(png.tobytes())


def main(words: list[str] | None = None) -> None:
    """The command line: `--out` FOLDER, `--seed` INTEGER."""
    parser = argparse.ArgumentParser(description="Render the sample image set.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "sample")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    write_set(arguments.out, arguments.seed)


if __name__ == "__main__":
    main()
