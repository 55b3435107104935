"""A kept classifier as an ONNX file: uint8 images in, probabilities out, checked against torch before it is written."""

import io
import json
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from classifiers.architectures import to_input
from pipeline.errors import InputError, JobError
from pipeline.kept_classifier import KeptClassifier
from pipeline.store import write_atomically

OPSET = 18
IMAGES, PROBABILITIES, BATCH = "images", "probabilities", "batch"  # names of input, output and their first axis
TOLERANCE = 1e-4  # of a probability
CHECKED = (1, 7)  # images a batch; the graph is traced with 2
NOTE = (
    "images: uint8 [batch, channels, image_size, image_size], RGB where there are 3 channels, resized as "
    "preprocessing.resize says; scaling is part of the graph. probabilities: float32 [batch, classes], in this order. "
    "The answer is the likeliest class; where the card has a decision, a part passes if the probability of the class "
    "good is above the threshold, else it is the likeliest of the others."
)


class Served(nn.Module):
    """A classifier with what stands before and behind it: uint8 `[N, C, S, S]` -> probabilities float32 `[N, K]`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.model(to_input(images)).softmax(dim=1))


def export_onnx(classifier: KeptClassifier, file: Path) -> float:
    """Write the classifier as ONNX (opset 18, dynamic batch); returns by how much a probability differs from torch's.

    The metadata holds `classes`, `card` (both JSON) and `note`.

    Raises:
        InputError: the extra `onnx` is not installed.
        JobError: onnxruntime gives other probabilities than torch; nothing is written.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise InputError(f"Exporting needs more than is installed ({error}); pip install 'ganaug[onnx]'.") from None
    served = Served(classifier.model).eval()
    model = onnx.load_model_from_string(_traced(served, _examples(classifier, 2)))
    facts = {"classes": json.dumps(classifier.classes), "card": json.dumps(classifier.card), "note": NOTE}
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    difference = max(_difference(served, session, _examples(classifier, count)) for count in CHECKED)
    if not difference <= TOLERANCE:
        raise JobError(
            f"Probabilities by onnxruntime {onnxruntime.__version__} differ from those by torch {torch.__version__} by "
            f"{difference:.2g}; {TOLERANCE:g} is allowed. Nothing was written; try other versions of the two."
        )
    write_atomically(file, data)
    return difference


def _traced(served: Served, example: Tensor) -> bytes:
    """The graph by torch's exporter that needs nothing but onnx; the newer one needs onnxscript beside it."""
    graph = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there is a newer one
        torch.onnx.export(
            served,
            (example,),
            graph,  # type: ignore[arg-type]  # the older exporter takes what can be written to as well
            dynamo=False,
            opset_version=OPSET,
            input_names=[IMAGES],
            output_names=[PROBABILITIES],
            dynamic_axes={IMAGES: {0: BATCH}, PROBABILITIES: {0: BATCH}},
        )
    return graph.getvalue()


def _examples(classifier: KeptClassifier, count: int) -> Tensor:
    """Noise of any brightness and contrast, uint8 `[N, C, S, S]`."""
    size, channels = classifier.preprocessing["image_size"], classifier.preprocessing["channels"]
    generator = torch.Generator().manual_seed(count)
    low, high = torch.rand(2, count, channels, 1, 1, generator=generator).mul(255).sort(dim=0).values
    noise = torch.rand(count, channels, size, size, generator=generator)
    return (low + (high - low) * noise).to(torch.uint8)


@torch.inference_mode()
def _difference(served: Served, session: Any, images: Tensor) -> float:
    """The largest absolute difference of a probability."""
    (found,) = session.run([PROBABILITIES], {IMAGES: images.numpy()})
    return float((torch.from_numpy(found) - served(images)).abs().max())
