"""Packages of bioimage.io: their ONNX answers here as they say, or they are refused by name."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.models.checkpoint import ModelFileError
from napari_clickseg.models.registry import list_models
from napari_clickseg.models.sharing.bioimage_import import import_bioimage
from napari_clickseg.models.sharing.offered import offered_model

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = np.random.default_rng(0).integers(30, 200, (1, 1, 64, 64)).astype(np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def network(outputs: int = 1, last: str = "Sigmoid") -> bytes:
    """A network that gives its input, less 0.1 for each further channel, to its last step."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, (outputs, 1, 1, 1), [1.0] * outputs)
    bias = helper.make_tensor(
        "b", TensorProto.FLOAT, (outputs,), [-0.1 * k for k in range(outputs)]
    )
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["z"])]
    options = {"axis": 1} if last == "Softmax" else {}
    nodes.append(helper.make_node(last, ["z"], ["y"], **options))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n, "h", "w"])
        for name, n in (("x", 1), ("y", outputs))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights, bias])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(onnx.ModelProto.SerializeToString(made))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def package(
    path: Path,
    before: list[dict[str, Any]],
    answer: Any,
    *,
    old: bool = False,
    outputs: int = 1,
    last: str = "Sigmoid",
    names: list[str] | None = None,
    after: list[dict[str, Any]] | None = None,
    **more: Any,
) -> Path:
    """Write a package; `answer` is what it says that its network gives to `IMAGE`."""
    data = network(outputs, last)
    tensors = {"in.npy": IMAGE, "out.npy": np.asarray(answer, np.float32)}
    space = [{"type": "space", "id": a, "size": {"min": 64, "step": 16}} for a in "yx"]
    onnx_file = {"source": "net.onnx", "sha256": hashlib.sha256(data).hexdigest()}
    if old:
        described: dict[str, Any] = {
            "inputs": [{"name": "x", "axes": "bcyx", "data_type": "uint8", "preprocessing": before,
                        "shape": {"min": [1, 1, 64, 64], "step": [0, 0, 16, 16]}}],
            "outputs": [{"name": "y", "axes": "bcyx", "postprocessing": after or []}],
            "test_inputs": ["in.npy"], "test_outputs": ["out.npy"], "format_version": "0.4.10",
        }  # fmt: skip
    else:
        channels = names or [f"channel{k}" for k in range(outputs)]
        described = {
            "inputs": [{"id": "x", "axes": [{"type": "batch"},
                        {"type": "channel", "channel_names": ["raw"]}, *space],
                        "data": {"type": "uint8"}, "preprocessing": before,
                        "test_tensor": {"source": "in.npy"}}],
            "outputs": [{"id": "y", "axes": [{"type": "batch"},
                         {"type": "channel", "channel_names": channels}, *space],
                         "test_tensor": {"source": "out.npy"}, "postprocessing": after or []}],
            "format_version": "0.5.4",
        }  # fmt: skip
    about = {"type": "model", "name": "spots", "license": "MIT", "description": "Finds spots."}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net.onnx", data)
        for name, values in tensors.items():
            file = io.BytesIO()
            np.save(file, values)
            archive.writestr(name, file.getvalue())
        weights = {"weights": {"onnx": onnx_file}}
        archive.writestr("rdf.yaml", yaml.safe_dump(about | described | weights | more))
    return path


def mine() -> list[str]:
    return [entry.name for entry in list_models() if not entry.bundled]


RAW = IMAGE.astype(np.float32)
LOW, HIGH = np.percentile(RAW, (5, 95))
BEFORE = [
    ("zero_mean_unit_variance", {"axes": ["y", "x"]}, (RAW - RAW.mean()) / RAW.std()),
    ("zero_mean_unit_variance", {"mode": "per_sample", "axes": "cyx"},
     (RAW - RAW.mean()) / RAW.std()),
    ("fixed_zero_mean_unit_variance", {"mean": 100.0, "std": 50.0}, (RAW - 100) / 50),
    ("scale_linear", {"gain": 1 / 255, "offset": -0.5}, RAW / 255 - 0.5),
    ("scale_range", {"min_percentile": 5, "max_percentile": 95, "axes": ["y", "x"]},
     (RAW - LOW) / (HIGH - LOW)),
    ("clip", {"min": 60.0, "max": 110.0}, RAW.clip(60, 110)),
]  # fmt: skip


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(("what", "how", "seen"), BEFORE, ids=[one[0] for one in BEFORE])
def test_what_is_done_to_an_image_before_is_done_here_too(tmp_path, what, how, seen, old) -> None:
    key = "name" if old else "id"
    path = package(tmp_path / "p.zip", [{key: what, "kwargs": how}], sigmoid(seen), old=old)
    added = import_bioimage(path)
    assert mine() == ["spots"]
    assert (added.card.licence, added.card.description) == ("MIT", "Finds spots.")
    assert added.card.window.size == 256
    answer = load_segmenter("spots", "cpu").forward(RAW[0] / 255)
    np.testing.assert_allclose(answer, sigmoid(seen)[0], atol=1e-3)


def test_a_network_that_does_not_answer_its_own_test_is_refused(tmp_path, folder) -> None:
    before = [{"id": "scale_linear", "kwargs": {"gain": 0.01}}]
    path = package(tmp_path / "p.zip", before, sigmoid(RAW / 10))
    with pytest.raises(ModelFileError, match="does not answer its own test"):
        import_bioimage(path)
    assert not mine()
    assert not list(folder.glob("*.safetensors"))


@pytest.mark.parametrize(
    ("names", "last", "classes", "overlapping"),
    [
        (["background", "cell", "edge"], "Softmax", ("cell", "edge"), False),
        (["cell", "edge"], "Sigmoid", ("cell", "edge"), True),
        (["channel0", "channel1", "channel2"], "Softmax", ("class 1", "class 2"), False),
    ],
)
def test_channels_are_classes_as_their_names_and_the_last_step_say(
    tmp_path, names, last, classes, overlapping
) -> None:
    z = np.concatenate([RAW / 255 - 0.1 * k for k in range(len(names))], 1)
    answer = sigmoid(z) if last == "Sigmoid" else np.exp(z) / np.exp(z).sum(1, keepdims=True)
    before = [{"id": "scale_linear", "kwargs": {"gain": 1 / 255}}]
    path = package(tmp_path / "p.zip", before, answer, outputs=len(names), last=last, names=names)
    card = import_bioimage(path).card
    assert (card.classes, card.overlapping) == (classes, overlapping)


@pytest.mark.parametrize("masked", [False, True])
def test_a_sigmoid_afterwards_is_done_here_too_and_a_threshold_is_the_users(
    tmp_path, masked
) -> None:
    before = [{"id": "scale_linear", "kwargs": {"gain": 0.02, "offset": -2}}]
    after: list[dict[str, Any]] = [{"id": "sigmoid"}]
    answer = sigmoid(RAW * 0.02 - 2)
    if masked:
        after.append({"id": "binarize", "kwargs": {"threshold": 0.7}})
    told = answer > 0.7 if masked else answer
    import_bioimage(package(tmp_path / "p.zip", before, told, last="Identity", after=after))
    probability = load_segmenter("spots", "cpu").forward(RAW[0] / 255)
    np.testing.assert_allclose(probability, answer[0], atol=1e-3)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"weights": {"torchscript": {"source": "a.pt"}}}, "TorchScript is a program"),
        ({"weights": {"keras_hdf5": {"source": "a.h5"}}}, "Keras' files may hold programs"),
        ({"weights": {"onnx": {"source": "https://x.org/a.onnx"}}}, "keeps its network elsewhere"),
        ({"weights": {"onnx": {"source": "b.onnx"}}}, "lacks b.onnx"),
        ({"weights": {"onnx": {"source": "net.onnx", "sha256": "0" * 64}}}, "SHA-256 differs"),
        ({"type": "dataset"}, "is no model, but 'dataset'"),
        ({"inputs": []}, "takes 0 inputs"),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_reason(tmp_path, more, said) -> None:
    path = package(tmp_path / "p.zip", [], sigmoid(RAW), **more)
    with pytest.raises(ModelFileError, match=said) as caught:
        import_bioimage(path)
    assert "\n" not in str(caught.value)
    assert not mine()


@pytest.mark.parametrize("what", ["gaussian_blur", "scale_mean_variance", "custom"])
def test_an_unknown_step_is_refused_by_its_name(tmp_path, what) -> None:
    path = package(tmp_path / "p.zip", [{"id": what, "kwargs": {}}], sigmoid(RAW))
    for look in (import_bioimage, offered_model):
        with pytest.raises(ModelFileError, match=f"'{what}', is not known here"):
            look(path)


@pytest.mark.parametrize("length", [0, 40, 900])
def test_a_file_cut_short_is_refused(tmp_path, length) -> None:
    path = package(tmp_path / "p.zip", [], sigmoid(RAW))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelFileError, match="broken or cut short"):
        import_bioimage(path)
