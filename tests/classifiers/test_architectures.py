import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from classifiers.architectures import MODELS, SmallResNet, build_model, to_input


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_gives_one_logit_a_class(name: str, channels: int) -> None:
    model = build_model(name, classes=4, channels=channels).eval()
    logits = model(torch.randn(2, channels, 64, 64))
    assert logits.shape == (2, 4)
    assert torch.isfinite(logits).all()


def test_features_feed_the_head() -> None:
    model = SmallResNet(classes=5, channels=1).eval()
    x = torch.randn(3, 1, 32, 32)
    assert model.features(x).shape == (3, 64)
    torch.testing.assert_close(model.head(model.features(x)), model(x))


def test_input_spans_minus_one_to_one() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
    assert to_input(images).flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("name", ["small_resnet", "resnet18", "efficientnet_b0"])
def test_weights_file_restores_the_model(name: str, tmp_path: Path) -> None:
    saved = build_model(name, classes=3, channels=1).eval()
    save_file(saved.state_dict(), tmp_path / "w.safetensors")
    loaded = build_model(name, classes=3, channels=1, weights=str(tmp_path / "w.safetensors")).eval()
    x = torch.randn(2, 1, 64, 64)
    assert torch.equal(saved(x), loaded(x))


def test_colour_weights_answer_a_grey_image_as_its_colour_copy(tmp_path: Path) -> None:
    colour = build_model("resnet18", classes=3, channels=3).eval()
    save_file(colour.state_dict(), tmp_path / "w.safetensors")
    grey = build_model("resnet18", classes=3, channels=1, weights=str(tmp_path / "w.safetensors")).eval()
    x = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_head_of_another_size_starts_anew(tmp_path: Path) -> None:
    saved = build_model("resnet18", classes=10, channels=1)
    save_file(saved.state_dict(), tmp_path / "w.safetensors")
    loaded = build_model("resnet18", classes=3, channels=1, weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(saved.get_parameter("layer1.0.conv1.weight"), loaded.get_parameter("layer1.0.conv1.weight"))
    assert loaded(torch.randn(2, 1, 32, 32)).shape == (2, 3)


def test_pth_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(ValueError, match=r"model\.pth.*Convert.*save_file"):
        build_model("resnet18", classes=2, channels=1, weights=str(path))


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_pickle_in_disguise_executes_nothing(tmp_path: Path) -> None:
    trace, disguised = tmp_path / "executed", tmp_path / "w.safetensors"
    disguised.write_bytes(pickle.dumps(_Touch(trace)))
    with pytest.raises(ValueError, match=r"w\.safetensors: not a safetensors file"):
        build_model("small_resnet", classes=2, channels=1, weights=str(disguised))
    assert not trace.exists()
    pickle.loads(disguised.read_bytes())
    assert trace.exists(), "the disguised pickle must be one that acts"


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_file(build_model("small_resnet", classes=3, channels=1).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="another model"):
        build_model("resnet18", classes=3, channels=1, weights=str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet81"}, "did you mean 'resnet18'"),
        ({"classes": 1}, "at least two classes"),
        ({"channels": 2}, "1 .grey. or 3"),
        ({"weights": "download"}, "not offered for small_resnet"),
        ({"weights": "nowhere.safetensors"}, "no such weights file"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(**{"name": "small_resnet", "classes": 2, "channels": 1, **arguments})  # type: ignore[arg-type]
