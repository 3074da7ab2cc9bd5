"""Networks of other programs answer here as they do there; what could run a program is refused."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.models.checkpoint import ModelFileError, load_network, save_model
from napari_clickseg.models.network import NetworkError, build_network, create
from napari_clickseg.models.registry import list_models
from napari_clickseg.models.sharing.foreign_network import ForeignNetwork
from napari_clickseg.models.sharing.onnx_export import export_onnx
from napari_clickseg.models.sharing.onnx_import import import_onnx
from napari_clickseg.models.sharing.weights_import import import_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard

SAID = ForeignNetwork(window=32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


class Foreign(nn.Module):
    """A network of somebody else: a convolution of 1 × 1, and a last step."""

    def __init__(self, channels: int, outputs: int, last: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(channels, outputs, 1)
        self.last = last or nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(image))


def as_onnx(
    network: nn.Module, path: Path, shape: tuple[int, ...], *, free: bool = True
) -> nn.Module:
    axes = {"x": {0: "n", 2: "h", 3: "w"}, "y": {0: "n", 2: "h", 3: "w"}} if free else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (torch.rand(shape),), path, input_names=["x"],
                          output_names=["y"], dynamic_axes=axes, dynamo=False)  # fmt: skip
    return network


def probabilities(name: str, image: torch.Tensor) -> np.ndarray:
    return load_segmenter(name, "cpu", half=False).forward(image.numpy())


def mine() -> list[str]:
    return [entry.name for entry in list_models() if not entry.bundled]


@pytest.mark.parametrize(
    ("outputs", "last", "said", "wanted"),
    [
        (1, None, {}, lambda y: y.sigmoid()),
        (1, nn.Sigmoid(), {}, lambda y: y),
        (2, None, {}, lambda y: y.softmax(1)[:, 1:]),
        (2, nn.Softmax(1), {}, lambda y: y[:, 1:]),
        (4, nn.Softmax(1), {"classes": ("a", "b", "c")}, lambda y: y),
        (4, None, {}, lambda y: y.softmax(1)),
        (2, nn.Sigmoid(), {"overlapping": True}, lambda y: y),
    ],
)
def test_what_a_network_answers_with_becomes_the_probabilities_of_its_classes(
    tmp_path: Path, outputs: int, last: nn.Module | None, said: dict[str, Any], wanted: Any
) -> None:
    network = as_onnx(Foreign(3, outputs, last), tmp_path / "a.onnx", (1, 3, 32, 32))
    added = import_onnx(tmp_path / "a.onnx", ForeignNetwork(window=32, **said))
    assert mine() == ["a"]
    assert (added.card.automatic, added.card.encoding) == (True, "image")
    image = torch.rand(3, 32, 32)
    answer = probabilities("a", image)
    with torch.inference_mode():
        expected = wanted(network(image[None]))[0].numpy()
    np.testing.assert_allclose(answer[-len(expected) :], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ("0-1", lambda x: x),
        ("0-255", lambda x: x * 255),
        ("imagenet", lambda x: (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
         / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)),
        ("standardised", lambda x: (x - x.mean((1, 2), keepdim=True))
         / x.std((1, 2), correction=0, keepdim=True)),
    ],
)  # fmt: skip
def test_it_is_shown_the_values_that_it_takes_an_image_for(
    tmp_path: Path, values: Any, seen: Any
) -> None:
    network = as_onnx(Foreign(3, 1), tmp_path / "a.onnx", (1, 3, 32, 32))
    import_onnx(tmp_path / "a.onnx", ForeignNetwork(window=32, values=values))
    image = torch.rand(3, 32, 32)
    with torch.inference_mode():
        expected = network(seen(image)[None]).sigmoid()[0].numpy()
    np.testing.assert_allclose(probabilities("a", image), expected, atol=1e-4)


def test_a_click_model_that_was_written_here_comes_in_as_what_it_was(
    make_card: Callable[..., ModelCard], tmp_path: Path
) -> None:
    card = make_card(encoding="prompts", fusion="beside", guidance_widths=(4, 6, 8, 8),
                     input_range={"mean": (0.5,) * 3, "std": (0.2,) * 3})  # fmt: skip
    torch.manual_seed(0)
    save_model(tmp_path / "m.safetensors", build_network(card).state_dict(), card)
    export_onnx(str(tmp_path / "m.safetensors"), tmp_path / "back.onnx")
    added = import_onnx(tmp_path / "back.onnx", ForeignNetwork())
    assert added.card.window == card.window
    with pytest.raises(ModelFileError, match="came as ONNX already"):
        export_onnx("back", tmp_path / "again.onnx")
    image = np.random.default_rng(0).random((50, 70))
    masks = []
    for model in (tmp_path / "m.safetensors", "back"):
        session = load_segmenter(model, "cpu", half=False).start(image)
        session.click(20, 30, positive=True)
        masks.append(session.predict().probability)
    np.testing.assert_allclose(*masks, atol=1e-3)
    with pytest.raises(NetworkError, match="nothing can be trained from it"):
        build_network(added.card)


def last_channels(path: Path) -> None:
    as_onnx(nn.Conv2d(64, 1, 1), path, (1, 64, 64, 3), free=False)


def several_inputs(path: Path) -> None:
    class Two(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a + b

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = torch.rand(1, 1, 32, 32)
        torch.onnx.export(Two(), (x, x), path, dynamo=False)


def elsewhere(path: Path) -> None:
    as_onnx(Foreign(3, 1), path, (1, 3, 32, 32))
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="w.bin",
                    size_threshold=0)  # fmt: skip


class Labels(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmax(1, keepdim=True)


REFUSED: dict[str, tuple[Callable[[Path], object], ForeignNetwork, str]] = {
    "volumes": (lambda p: as_onnx(nn.Conv3d(1, 1, 1), p, (1, 1, 8, 8, 8), free=False), SAID,
                "takes volumes; only planes"),
    "channels last": (last_channels, SAID, "has channels last"),
    "several inputs": (several_inputs, SAID, r"takes 2 inputs \(.*\), not one image"),
    "labels": (lambda p: as_onnx(Labels(), p, (1, 3, 32, 32)), SAID, "as of labels"),
    "elsewhere": (elsewhere, SAID, "weights in other files"),
    "no map": (lambda p: as_onnx(nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)), p,
                                 (1, 3, 32, 32), free=False), SAID, "a map for each class"),
    "smaller": (lambda p: as_onnx(nn.Conv2d(3, 1, 3), p, (1, 3, 32, 32)), SAID, "the same size"),
    "classes": (lambda p: as_onnx(Foreign(3, 3), p, (1, 3, 32, 32)),
                ForeignNetwork(window=32, classes=("a",)), "name 2 classes, not 1"),
    "background": (lambda p: as_onnx(Foreign(3, 3), p, (1, 3, 32, 32)),
                   ForeignNetwork(window=32, classes=("a", "b", "c")), "say --overlapping"),
    "no probabilities": (lambda p: as_onnx(Foreign(3, 1), p, (1, 3, 32, 32)),
                         ForeignNetwork(window=32, outputs="probabilities", values="0-255"),
                         "say --outputs logits"),
    "a window": (lambda p: as_onnx(Foreign(3, 1), p, (1, 3, 64, 64), free=False), SAID,
                 "windows of 64 pixels, not 32"),
    "no ONNX": (lambda p: p.write_bytes(b"\x08\x01nonsense"), SAID, "no ONNX"),
    "nothing": (lambda p: None, SAID, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fit_is_said_in_a_line_and_nothing_is_added(
    tmp_path: Path, kind: str
) -> None:
    make, said, message = REFUSED[kind]
    make(tmp_path / "a.onnx")
    with pytest.raises(ModelFileError, match=message) as caught:
        import_onnx(tmp_path / "a.onnx", said)
    assert "\n" not in str(caught.value)
    assert mine() == []


SMALL: dict[str, Any] = {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}
WEIGHTS = ForeignNetwork(architecture="unet", encoder="resnet18", options=SMALL, window=64)


def trained(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return create("unet", "resnet18", channels=3, classes=outputs, options=SMALL).eval()


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_weights_of_a_known_network_answer_as_they_did_and_can_be_trained_on(
    tmp_path: Path, outputs: int
) -> None:
    network = trained(outputs)
    state = {f"model.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "cells.ckpt")
    added = import_weights(tmp_path / "cells.ckpt", WEIGHTS)
    image = torch.rand(3, 64, 64)
    with torch.inference_mode():
        logits = network(image[None])
    wanted = logits.sigmoid() if outputs == 1 else logits.softmax(1)
    answer = probabilities("cells", image)
    np.testing.assert_allclose(answer[-1], wanted[0, -1].numpy(), atol=5e-3)
    known, card = load_network(added.entry.path)
    assert card.architecture == "unet"  # so that it is a `start` like any other
    assert known.state_dict().keys() == build_network(card).state_dict().keys()


def test_what_would_run_a_program_and_what_is_of_another_network_is_refused(
    tmp_path: Path,
) -> None:
    network, path = trained(1), tmp_path / "w.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Foreign(3, 1), torch.rand(1, 3, 8, 8)), path)
    with pytest.raises(ModelFileError, match="TorchScript, a program"):
        import_weights(path, WEIGHTS)
    torch.save(network, path)
    with pytest.raises(ModelFileError, match="could run any program"):
        import_weights(path, WEIGHTS)
    torch.save(network.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ModelFileError, match="cut short"):
        import_weights(path, WEIGHTS)
    torch.save(network.state_dict(), path)
    for said, message in (
        (ForeignNetwork(), "say of which network: --architecture"),
        (ForeignNetwork(architecture="unet", encoder="resnet18"), "weights of another network"),
        (ForeignNetwork(architecture="unet", encoder="none"), "is known; choose others"),
    ):
        with pytest.raises(ModelFileError, match=message):
            import_weights(path, said)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelFileError, match="is of no network of segmentation_models"):
        import_weights(path, WEIGHTS)
    assert mine() == []
