"""Filter the candidates: fit extractor and cross-fitted scorer on the training images, then filter class by class."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from classifiers.crossfit import CrossFit, cross_fit
from classifiers.fitting import Recipe
from classifiers.scattering import Scattering
from ganaug.candidate_filter import ClassCandidates, ClassSelection, FilterOptions, RealClass, Remedies, filter_class
from ganaug.copies import CopyRule
from ganaug.metrics import Manifold, authenticity, manifold
from ganaug.selection import frechet_subset
from pipeline.config import Config
from pipeline.log import progress
from pipeline.stages.fits import device_of, identity_of, recipe_for
from pipeline.stages.generate import wanted
from pipeline.stages.records import Candidates, FittedScorer, Pack, Prepared, Selected, load_pack
from pipeline.store import RunFolder, cached_json, cached_tensors, digest, load_tensors
from pipeline.workers import run_jobs, workers

SCORER_POLICY = "flips_shift_light"  # surer than flips alone: benchmarks/neu-steel.md
FOREIGN = Remedies(  # of images that somebody else made: nothing here can train them longer
    few="were given: give more synthetic images",
    reasons={
        "copy": "they repeat real training images; give images that are new",
        "duplicate": "they repeat one another; give more varied ones",
        "low_confidence": "the class scorer does not recognise them; check their labels, and the part of the picture "
        "that they show",
    },
    others="compare them with the real images in the report",
    far="check that they show the part in the size, place and light of the real ones",
    nearer="check their labels",
)


def fit_scorer(run: RunFolder, config: Config, prepared: Prepared) -> FittedScorer:
    """Fit the feature extractor and the cross-fitted classifier on the training images."""
    recipe = _scorer_recipe(config, prepared)
    how = (identity_of(recipe), config.evaluate.folds, config.seed, device_of(config))
    file = run.stored("scorer", digest(prepared.digest, *how, code=__name__))
    job = (str(file), prepared, config)
    with progress("filter: fitting the scorer", 1) as bar:
        run_jobs(_fit_scorer, [job], processes=workers(config), done=lambda: bar.advance(1))
    return FittedScorer(str(file), load_tensors(file)[1]["features"])


def _scorer_recipe(config: Config, prepared: Prepared) -> Recipe:
    return recipe_for(config, prepared.n_train, policy=SCORER_POLICY)


def _fit_scorer(job: tuple[str, Prepared, Config]) -> None:
    file, prepared, config = job

    def build() -> tuple[dict[str, Tensor], dict[str, object]]:
        pack = load_pack(prepared.pack)
        train = pack.of("train")
        images, labels = pack.images[train], pack.labels[train]
        extractor = Scattering.fit(images)
        scorer = cross_fit(
            images,
            labels,
            pack.groups[train],
            _scorer_recipe(config, prepared),
            classes=len(prepared.classes),
            splits=config.evaluate.folds,
            seed=config.seed,
            device=device_of(config),
        )
        scorer_tensors, description = scorer.state()
        tensors = {f"scorer/{k}": t for k, t in scorer_tensors.items()}
        tensors |= {f"extractor/{k}": t for k, t in extractor.state().items()}
        tensors["real"] = extractor(images)
        return tensors, {"scorer": description, "features": extractor.name}

    cached_tensors(Path(file), build)


def load_scorer(fitted_scorer: FittedScorer) -> tuple[Scattering, CrossFit, Tensor]:
    """Extractor, scorer and the features `[N, D]` of the training images in pack order."""
    tensors, metadata = load_tensors(Path(fitted_scorer.file))

    def part(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}

    extractor = Scattering.from_state(part("extractor/"))
    return extractor, CrossFit.from_state(part("scorer/"), metadata["scorer"]), tensors["real"]


def filter_candidates(
    run: RunFolder, config: Config, prepared: Prepared, fitted_scorer: FittedScorer, candidates: Sequence[Candidates]
) -> list[Selected]:
    """Filter every class and store, for every ratio, the subset that would be merged."""
    jobs = [(str(run.out), config, prepared, fitted_scorer, one) for one in candidates]
    with progress("filter", len(jobs)) as bar:
        return run_jobs(_filter_class, jobs, processes=workers(config), done=lambda: bar.advance(1, "classes"))


def _filter_class(job: tuple[str, Config, Prepared, FittedScorer, Candidates]) -> Selected:
    out, config, prepared, fitted_scorer, one = job
    run = RunFolder(Path(out))
    rules = (config.filter, config.evaluate.ratios, config.seed)
    key = digest(Path(one.file).name, Path(fitted_scorer.file).name, *rules, code=__name__)
    file, record = run.stored("selection", key), run.stored("selection", key, ".json")

    def build() -> dict[str, Any]:
        extractor, scorer, features = load_scorer(fitted_scorer)
        pack = load_pack(prepared.pack)
        train = pack.of("train")
        images = load_tensors(Path(one.file))[0]["images"]
        confidence = scorer.score(images, device=device_of(config))[:, one.label]
        found = ClassCandidates(images, extractor(images), confidence)
        real = {label: _real(pack, train, features, label) for label in range(len(prepared.classes))}
        selection = filter_class(
            found,
            real[one.label],
            _options(config, prepared, one),
            others=[r for label, r in real.items() if label != one.label and len(r.images)],
            seed=config.seed,
        )
        cached_tensors(file, lambda: (_tensors(config, prepared, one, pack, found, real, selection), {}))
        near = _neighbour_scores(found.features[selection.accepted], real[one.label].features)
        return asdict(_record(one, str(file), selection, near))

    if not file.exists():
        record.unlink(missing_ok=True)
    found = cached_json(record, build)
    return Selected(**found | {"candidates": one.file, "file": str(file)})  # the folder may have been moved since


def _real(pack: Pack, train: Tensor, features: Tensor, label: int) -> RealClass:
    mine = pack.labels[train] == label
    return RealClass(pack.images[train[mine]], features[mine])


def lowest_confidence(min_confidence: float, classes: int) -> float:
    """Lowest confidence of an accepted candidate: `min_confidence`, but at least chance level; 0 for no bound.

    The higher of the two: of two classes, 0.2 would pass an image that is 79 % the other one, while with six the
    likeliest class is too much to ask of a scorer that has seen ten images of each (`benchmarks/confidence.py`).
    """
    return max(min_confidence, 1 / classes) if min_confidence else 0.0


def _options(config: Config, prepared: Prepared, one: Candidates) -> FilterOptions:
    f = config.filter
    options = FilterOptions(
        wanted(prepared, config, one.class_name),
        lowest_confidence(f.min_confidence, len(prepared.classes)),
        CopyRule(ceiling=f.copy_correlation),
        remedies=Remedies() if one.generator else FOREIGN,
    )
    return options if f.refuse_fid_ratio is None else replace(options, refuse_ratio=f.refuse_fid_ratio)


def _tensors(
    config: Config,
    prepared: Prepared,
    one: Candidates,
    pack: Pack,
    found: ClassCandidates,
    real: dict[int, RealClass],
    selection: ClassSelection,
) -> dict[str, Tensor]:
    """The subset of every ratio (the smaller ones chosen from the largest), and each candidate's scores."""
    train = pack.of("train")
    mine = train[pack.labels[train] == one.label]
    per_real = prepared.counts["train"][one.class_name]
    tensors = {
        "wanted": torch.tensor([per_real]),
        "blind": torch.randperm(one.count, generator=torch.Generator().manual_seed(config.seed)),
        "nearest_real": torch.where(selection.nearest_real < 0, -1, mine[selection.nearest_real.clamp_min(0)]),
        "distance": selection.nearest_distance,
        "realism": selection.realism,
        "confidence": found.confidence,
    }
    for ratio in config.evaluate.ratios:
        chosen, size = selection.accepted, per_real * ratio
        if len(chosen) > size and per_real >= 2:
            subset = frechet_subset(found.features[chosen], real[one.label].features, size, seed=config.seed)
            chosen = chosen[subset]
        tensors[f"ratio_{ratio}"] = chosen[:size].sort().values
    return tensors


def _neighbour_scores(accepted: Tensor, real: Tensor) -> dict[str, float | None]:
    """Precision, recall, density, coverage and authenticity of the accepted images; None below two images on a side."""
    if min(len(accepted), len(real)) < 2:
        return dict.fromkeys((*Manifold._fields, "authenticity"))
    return {**manifold(accepted, real)._asdict(), "authenticity": authenticity(accepted, real)}


def _record(one: Candidates, file: str, selection: ClassSelection, near: dict[str, float | None]) -> Selected:
    rejected = {reason: n for reason, n in selection.counts.items() if reason != "accepted" and n}
    scores: dict[str, float | None] = {
        "fid": selection.closeness.fid,
        "kid": selection.closeness.kid,
        "fid_unfiltered": selection.unfiltered.fid,
        "kid_unfiltered": selection.unfiltered.kid,
        "fid_real_vs_real": selection.real_vs_real.fid,
        "kid_real_vs_real": selection.real_vs_real.kid,
        "images": float(selection.size),
        **near,
    }
    return Selected(
        label=one.label,
        class_name=one.class_name,
        candidates=one.file,
        generator=one.generator,
        file=file,
        generated=one.count,
        accepted=len(selection.accepted),
        rejected=rejected,
        scores=scores,
        refused=selection.refused or "",
        warnings=list(selection.warnings),
    )
