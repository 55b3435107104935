"""Sentences as vectors: TF-IDF of words and pairs of words, and its leading singular directions."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from pipeline.descriptions.sentences import singular
from pipeline.errors import InputError

MOST = 32  # dimensions: the words of derived sentences vary in fewer ways
LEAST = 1e-6  # of the largest singular value: below it, a direction is rounding
SILENT = {"a", "an", "the", "of", "in", "on", "at", "with", "and", "its"}


def terms(sentence: str) -> list[str]:
    """Words in the singular, and pairs of neighbours within a phrase: "bright background" is not "bright scratch"."""
    found = []
    for phrase in re.split(r"[,.;:]", sentence.lower()):
        words = [singular(word) for word in re.findall(r"[^\W_]+", phrase) if word not in SILENT]
        found += words + [f"{a} {b}" for a, b in pairwise(words)]
    return found


class SentenceEmbedding:
    """Turns sentences into vectors, as fitted on the training images' sentences; deterministic.

    Vectors have mean 0 over the training sentences and, over sentences and dimensions, mean square 1. Words that no
    training sentence has are ignored.
    """

    def __init__(self, vocabulary: list[str], idf: Tensor, components: Tensor, mean: Tensor, scale: float) -> None:
        self._vectorizer = TfidfVectorizer(analyzer=terms, vocabulary={term: k for k, term in enumerate(vocabulary)})
        self._vectorizer.idf_ = idf.numpy()
        self._vocabulary, self._idf, self._components = vocabulary, idf, components
        self._mean, self._scale = mean, scale

    @classmethod
    def fit(cls, sentences: Sequence[str]) -> "SentenceEmbedding":
        """Fit on at least one sentence; InputError if there is no word in any."""
        try:
            vectorizer = TfidfVectorizer(analyzer=terms)
            weights = vectorizer.fit_transform(sentences)
        except ValueError:
            raise InputError("The descriptions of the training images hold no words; write some.") from None
        components = torch.ones(1, 1, dtype=torch.float64)  # of a single word, of which there is nothing to decompose
        if weights.shape[1] > 1:
            with np.errstate(invalid="ignore"):  # equal sentences have no variance to explain
                svd = TruncatedSVD(min(MOST, *weights.shape), random_state=0, n_iter=10).fit(weights)
            values = svd.singular_values_
            components = torch.from_numpy(svd.components_[values > LEAST * values.max()])
        vectors = torch.from_numpy(weights.toarray()) @ components.T
        mean = vectors.mean(0)
        deviation = float((vectors - mean).square().mean().sqrt())
        # one sentence said of every image has no deviation
        scale = 1 / deviation if deviation > 1e-6 else 1.0
        vocabulary = [str(term) for term in vectorizer.get_feature_names_out()]
        return cls(vocabulary, torch.from_numpy(vectorizer.idf_), components, mean, scale)

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """Vectors `float32 [N, E]`."""
        weights = torch.from_numpy(self._vectorizer.transform(sentences).toarray())
        return ((weights @ self._components.T - self._mean) * self._scale).float()

    def ignored(self, sentence: str) -> list[str]:
        """Words of the sentence that stood in no training sentence; InputError if that leaves nothing of it."""
        words = [term for term in terms(sentence) if " " not in term]
        known = {term for term in self._vocabulary if " " not in term}
        unknown = [word for word in words if word not in known]
        if len(unknown) == len(words):
            raise InputError(
                f"generate.description = {sentence!r} says nothing that the generator has learnt; "
                f"its words are {', '.join(sorted(known))}."
            )
        return unknown

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and a JSON-able record, for `from_state`."""
        tensors = {"idf": self._idf, "components": self._components, "mean": self._mean}
        return tensors, {"vocabulary": self._vocabulary, "scale": self._scale}

    @classmethod
    def from_state(cls, state: tuple[dict[str, Tensor], dict[str, Any]]) -> "SentenceEmbedding":
        """What `state` gave."""
        tensors, record = state
        return cls(list(record["vocabulary"]), tensors["idf"], tensors["components"], tensors["mean"], record["scale"])
