"""`ganaug predict` and `ganaug export-classifier`: use the classifier that a run kept."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import on_one_line

Run = Annotated[Path, typer.Argument(help="The folder of a finished run.")]
OneArm = Annotated[
    str | None, typer.Option("--arm", help="One of the two arms compared; the recommended one by default.")
]


def predict_command(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders with all their sub-folders.")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all probabilities to this new file.")] = None,
    arm: OneArm = None,
    cut_outs: Annotated[
        bool, typer.Option("--cut-outs", help="IMAGES are cut-outs like those that the run learned from.")
    ] = False,
) -> None:
    """Classify new IMAGES with the classifier of RUN: path, class and probability, a line each."""
    from pipeline.errors import InputError
    from pipeline.kept_classifier import load_classifier, require_whole
    from pipeline.predict import Prediction, classify, find_images, write_predictions
    from pipeline.store import RunFolder

    _require_new(csv, "--csv")
    classifier = load_classifier(RunFolder(run), arm)
    require_whole(classifier, cut_outs=cut_outs)
    found = find_images(images)
    done = [Prediction(problem.path, problem=problem.detail) for problem in found.problems]
    others = found.ignored
    for one in classify(classifier, found.images):
        if one is None:
            others += 1
        else:
            done.append(one)
    if csv is not None and any(one.answer is not None for one in done):
        write_predictions(csv, classifier.classes, done)  # before anything is said: whoever listens may stop, as head
    for one in done:
        if one.answer is not None:
            share = float(one.answer.probabilities[one.answer.label])
            typer.echo(f"{on_one_line(one.path)}\t{classifier.classes[one.answer.label]}\t{share:.3f}")
    for one in done:
        if one.problem:
            what = "left out" if one.answer is None else "please note"
            print(f"{what}: {on_one_line(one.path)} ({one.problem})", file=sys.stderr)
    if others:
        print(f"ignored: {others} hidden file(s) or file(s) of other formats", file=sys.stderr)
    if all(one.answer is None for one in done):
        raise InputError(f"No image could be read among {len(done)}; give PNG, JPEG, BMP, TIFF or WebP files.")


def export_classifier_command(
    run: Run,
    onnx: Annotated[Path, typer.Option("--onnx", help="The new file to write.")],
    arm: OneArm = None,
) -> None:
    """Write the classifier of RUN as an ONNX file, checked against onnxruntime: uint8 images in, probabilities out."""
    from pipeline.export_classifier import export_onnx
    from pipeline.kept_classifier import load_classifier
    from pipeline.store import RunFolder

    _require_new(onnx, "--onnx")
    classifier = load_classifier(RunFolder(run), arm)
    difference = export_onnx(classifier, onnx)
    typer.echo(f"{onnx}: arm {classifier.card['arm']}, probabilities within {difference:.1g} of torch's.")
    if classifier.preprocessing["framing"] == "mask":
        print("It takes square cut-outs around defects (data.framing = mask), no whole photographs.", file=sys.stderr)


def _require_new(file: Path | None, option: str) -> None:
    from pipeline.errors import InputError

    if file is not None and (file.exists() or file.is_symlink()):
        raise InputError(f"{option} {file} is there already; give another name, or remove it first.")
