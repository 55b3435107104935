"""The network with random weights, from files; nothing here touches the network."""

import hashlib
import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import Inception_V3_Weights, inception_v3

from classifiers.inception import load_inception, to_inception


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """With all that a downloaded state dict holds: the auxiliary head too."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = inception_v3(weights=None, num_classes=7, aux_logits=True, init_weights=False)
    return model.eval()


@pytest.fixture(scope="module")
def weights(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(network.state_dict(), path)
    return path


def pictures(count: int, channels: int = 3, size: int = 64) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, channels, size, size), generator=draw, dtype=torch.uint8)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_a_file_gives_the_network_that_was_saved(kind: str, weights: Path, network: nn.Module, tmp_path: Path) -> None:
    if kind == "safetensors":
        weights = tmp_path / "w.safetensors"
        save_file(network.state_dict(), weights)
    inception = load_inception(str(weights))
    found = inception.activations(pictures(2))
    assert found.pool.shape == (2, 2048) and found.pool.dtype == torch.float64
    torch.testing.assert_close(found.logits, network(to_inception(pictures(2))).double(), rtol=1e-4, atol=1e-4)
    assert inception.name == f"inception_v3 torchvision {hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}"


def test_the_input_is_scaled_as_torchvision_scales_it() -> None:
    """Its preset normalises by ImageNet's moments, and its network undoes that; what remains is [-1, 1]."""
    images = pictures(1, size=299)
    preset = Inception_V3_Weights.IMAGENET1K_V1.transforms(crop_size=299, resize_size=299)
    undo = inception_v3(weights=None, init_weights=False, aux_logits=False, transform_input=True)._transform_input
    torch.testing.assert_close(to_inception(images), undo(preset(images)), rtol=0, atol=1e-5)


def test_an_image_is_resized_whole_and_grey_is_repeated() -> None:
    edges = torch.zeros(1, 1, 600, 400, dtype=torch.uint8)
    edges[..., :10, :] = 255  # cropped away by torchvision's preset
    seen = to_inception(edges)
    assert seen.shape == (1, 3, 299, 299)
    assert seen[0, :, :3].min() > 0.9 and seen[0, :, 10:].max() == -1
    assert torch.equal(seen[:, 0], seen[:, 1]) and torch.equal(seen[:, 0], seen[:, 2])
    assert torch.equal(seen, to_inception(edges.expand(-1, 3, -1, -1)))


def test_batches_change_nothing_and_none_is_a_number(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inception = load_inception(str(weights))
    images = pictures(3, channels=1, size=32)
    whole = inception(images)
    monkeypatch.setattr("classifiers.inception.BATCH", 2)
    torch.testing.assert_close(inception(images), whole, rtol=1e-4, atol=1e-4)
    empty = inception.activations(images[:0])
    assert empty.pool.shape == (0, 2048) and empty.logits.shape == (0, 7)
    for wrong in (images.float(), images[:, 0], images.expand(-1, 2, -1, -1)):
        with pytest.raises(ValueError, match="takes uint8"):
            inception(wrong)


class Touch:
    """Pickled, it runs code when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
def test_code_in_a_weights_file_does_not_run(name: str, tmp_path: Path) -> None:
    path, trace, content = tmp_path / name, tmp_path / "ran", io.BytesIO()
    torch.save({"fc.bias": Touch(trace)}, content)
    path.write_bytes(content.getvalue())
    with pytest.raises(ValueError, match="read without running code"):
        load_inception(str(path))
    assert not trace.exists()
    content.seek(0)
    torch.load(content, weights_only=False)
    assert trace.exists(), "the file must be one that acts"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fc.bias": torch.zeros(1008)}, "TensorFlow port"),
        ({"fc.bias": torch.zeros(10)}, "another network"),
        ({"weight": torch.zeros(2)}, "another network"),
        ([1, 2], "not a state dict; save one"),
        ({"model": {"fc.bias": torch.zeros(10)}}, "not a state dict; save one"),
    ],
)
def test_other_weights_are_refused_by_name(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=rf"w\.pth.*{message}"):
        load_inception(str(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.pth", "no such weights file"),
        ("absent", "'download' or a .safetensors or .pth"),
        ("x.onnx", "download"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_to_give(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load_inception(str(tmp_path / name))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"w\.pth: not a state dict"):
        load_inception(str(tmp_path / "w.pth"))
