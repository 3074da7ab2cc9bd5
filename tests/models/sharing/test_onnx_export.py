"""A model that is written as ONNX answers as it does in torch, and says what it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from napari_clickseg.models.card import InputRange, ModelCard
from napari_clickseg.models.checkpoint import CARD_KEY, ModelFileError, save_model
from napari_clickseg.models.network import build_network
from napari_clickseg.models.sharing import onnx_export
from napari_clickseg.models.sharing.onnx_export import FARTHEST, export_onnx, probabilities_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLASS: dict[str, Any] = {"encoding": "image", "automatic": True}
KINDS: dict[str, dict[str, Any]] = {
    "clicks": {},
    "guided": {
        "encoding": "prompts",
        "fusion": "beside",
        "guidance_widths": (4, 6, 8, 8),
        "input_range": InputRange(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
    },
    "guided at a stride": {
        "architecture": "fpn",
        "options": {"encoder_depth": 5},
        "fusion": "beside",
        "guidance_widths": (4, 6, 8),
    },
    "classes": CLASS | {"classes": ("cell", "bud", "dirt"), "image_channels": 1},
    "overlapping": CLASS
    | {"classes": ("cell", "bud"), "overlapping": True}
    | {"input_range": InputRange(mean=(0.5,) * 3, std=(0.2,) * 3)},
    "objects": CLASS | {"schema_version": 2, "objects": {"seed_height": 0.1}},
}


@pytest.fixture
def make_model(make_card: Callable[..., ModelCard], tmp_path: Path) -> Callable[..., Path]:
    def make(**fields: Any) -> Path:
        torch.manual_seed(0)
        card = make_card(**fields)
        path = tmp_path / "model.safetensors"
        save_model(path, build_network(card).state_dict(), card)
        return path

    return make


def answers(path: Path, inputs: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"inputs": inputs.numpy()})


SLOW = ("guided at a stride", "objects", "overlapping")


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] * (k in SLOW)) for k in KINDS]
)
def test_onnxruntime_answers_as_torch_does(
    make_model: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    path, out = make_model(**KINDS[kind]), tmp_path / "m.onnx"
    made = export_onnx(str(path), out)
    assert made.farthest <= FARTHEST
    network, card = onnx_export.load_network(path)
    properties = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert ModelCard.from_json(properties[CARD_KEY]) == card
    inputs, outputs = json.loads(properties["inputs"]), json.loads(properties["outputs"])
    shapes = [(3, 64, 64)] + [(2, 96, 160)] * made.any_size
    for count, height, width in shapes:
        shown = torch.rand(count, len(inputs), height, width)
        with torch.inference_mode():
            wanted = probabilities_of(network, card)(shown)
        answer = answers(out, shown)
        assert answer[0].shape == (count, len(outputs), height, width)
        assert len(answer) == len(wanted) == 1 + (card.fusion == "beside")
        for one, other in zip(wanted, answer, strict=True):
            np.testing.assert_allclose(one.numpy(), other, atol=1e-3)


@pytest.mark.slow
def test_inputs_may_have_any_size_where_the_network_takes_any(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    assert export_onnx(str(make_model()), tmp_path / "a.onnx").any_size
    fixed = make_model(encoder="tu-vit_tiny_patch16_224", architecture="dpt", options={},
                       window={"size": 224}, **CLASS)  # fmt: skip
    made = export_onnx(str(fixed), tmp_path / "b.onnx")
    assert not made.any_size
    (height,) = (p.value for p in onnx.load(made.path).metadata_props if "height" in p.key)
    assert height == "224"


def test_what_answers_otherwise_is_not_written(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_model()
    monkeypatch.setattr(onnx_export, "FARTHEST", -1.0)
    with pytest.raises(ModelFileError, match=r"can.t be written as ONNX .*would differ by"):
        export_onnx(str(path), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == [path]


def test_bad_wishes_are_one_line_and_nothing_is_written(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_model()
    (tmp_path / "there.onnx").write_text("mine")
    for model, out, message in (
        (str(path), "there.onnx", "is there already"),
        (str(path), "m.safetensors", "should end in .onnx"),
        ("none", "m.onnx", "There is no model 'none'"),
        (str(path), "there.onnx/m.onnx", "can't be written"),
    ):
        with pytest.raises(ModelFileError, match=message):
            export_onnx(model, tmp_path / out)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ModelFileError, match=r"needs onnx; .*napari-clickseg\[onnx\]"):
        export_onnx(str(path), tmp_path / "m.onnx")
    assert {p.name for p in tmp_path.iterdir()} == {"model.safetensors", "there.onnx"}


@pytest.mark.slow
def test_the_default_model_is_written(tmp_path: Path) -> None:
    made = export_onnx("default", tmp_path / "default.onnx")
    assert made.any_size
    assert made.farthest <= FARTHEST
