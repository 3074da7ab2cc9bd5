from __future__ import annotations

import json
import pickle
import struct
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_clickseg.models.checkpoint import (
    CARD_KEY,
    ModelFileError,
    load_network,
    read_card,
    save_model,
    sha256,
)
from napari_clickseg.models.network import build_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from napari_clickseg.models.card import ModelCard


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A real network, small, whose normalisation has seen something."""
    from napari_clickseg.models.card import ModelCard

    torch.manual_seed(0)
    card = ModelCard(
        name="tiny",
        architecture="unet",
        encoder="mobilenet_v2",
        options={"encoder_depth": 3, "decoder_channels": [16, 8, 4]},
    )
    network = build_network(card).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(2, 6, 32, 32))
    return network.eval()


@pytest.fixture
def model(tmp_path: Path, network: nn.Module, make_card: Callable[..., ModelCard]) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_model(path, network.state_dict(), make_card())
    return path


def refused(path: Path, says: str, **how: str) -> None:
    with pytest.raises(ModelFileError, match=says) as caught:
        load_network(path, **how)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


# What is written is what is read


def test_a_model_survives_being_written_and_read(
    model: Path, network: nn.Module, make_card: Callable[..., ModelCard]
) -> None:
    loaded, card = load_network(model, expected_sha256=sha256(model).upper())
    assert card == read_card(model) == make_card()
    assert not loaded.training
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    image = torch.rand(1, 6, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(image), network(image), rtol=0.02, atol=0.02)


def test_weights_are_kept_in_half_precision_without_counters(
    model: Path, network: nn.Module
) -> None:
    kept = load_file(model)
    floats = {n for n, t in network.state_dict().items() if t.is_floating_point()}
    assert set(kept) == floats
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    assert model.stat().st_size < 2.2 * sum(p.numel() for p in network.parameters())


def test_weights_too_large_for_half_precision_stay_whole(
    tmp_path: Path, make_card: Callable[..., ModelCard]
) -> None:
    path = tmp_path / "m.safetensors"
    weights = {
        "large": torch.tensor([1.0, 1e6]),
        "small": torch.tensor([0.5]),
        "index": torch.arange(3),
    }
    save_model(path, weights, make_card())
    kept = load_file(path)
    assert kept["large"].dtype == torch.float32
    assert kept["large"].tolist() == [1.0, 1e6]
    assert kept["small"].dtype == torch.float16
    assert kept["index"].tolist() == [0, 1, 2]


def test_writing_leaves_the_old_file_or_the_new_one_and_nothing_else(
    model: Path, make_card: Callable[..., ModelCard]
) -> None:
    before = model.read_bytes()
    twice = torch.arange(3)
    with pytest.raises(RuntimeError, match="share memory"):
        save_model(model, {"a": twice, "b": twice}, make_card())
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_reading_a_card_does_not_need_the_weights(model: Path) -> None:
    """So the models can be listed without loading torch; only the length is looked at."""
    data = bytearray(model.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    data[8 + length :] = bytes(len(data) - 8 - length)
    model.write_bytes(data)
    assert read_card(model).name == "tiny"


# What is refused


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "gone.safetensors", "There is no model file .*check the path")


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    refused(folder, "cannot be read .*choose a .safetensors file")


@pytest.mark.parametrize("left", [0, 4, 8, 100, 5000, -1])
def test_a_file_cut_short(model: Path, left: int) -> None:
    model.write_bytes(model.read_bytes()[:left])
    refused(model, "broken or cut short.*get it again")


def test_a_file_with_something_after_its_end(model: Path) -> None:
    model.write_bytes(model.read_bytes() + b"more")
    refused(model, "broken or cut short.*get it again")


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"[1, 2]",
        b'{"a": {}}',
        b'{"a": 3}',
        b'{"a": {"data_offsets": ["x", "y"]}}',
        b'{"a": {"data_offsets": []}}',
        b'{"__metadata__": null}',
        b'{"__metadata__": [1]}',
        b"[" * 100_000,
    ],
)
def test_a_header_that_makes_no_sense(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    refused(path, "broken or cut short.*get it again")


def test_a_header_that_disagrees_with_the_weights(
    tmp_path: Path, make_card: Callable[..., ModelCard]
) -> None:
    path = tmp_path / "m.safetensors"
    header = json.dumps(
        {
            "__metadata__": {CARD_KEY: make_card().model_dump_json()},
            "a": {"dtype": "F32", "shape": [7], "data_offsets": [0, 4]},
        }
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    refused(path, "broken or cut short.*get it again")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl", ".PTH", ".bin"])
def test_a_pickle_by_its_name_is_not_even_opened(tmp_path: Path, suffix: str) -> None:
    refused(tmp_path / f"model{suffix}", "pickle.*ask for the model as a .safetensors file")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('the pickle was run')",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_under_another_name_is_recognised_and_not_run(
    tmp_path: Path, zipped: bool
) -> None:
    path = tmp_path / "model.safetensors"
    if zipped:
        torch.save({"a": torch.ones(2), "b": Bomb()}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    refused(path, "pickle.*ask for the model as a .safetensors file")


def test_a_safetensors_file_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(2)}, path)
    refused(path, "has no model card.*choose another file")
    save_file({"a": torch.ones(2)}, path, metadata={"format": "pt"})
    refused(path, "has no model card.*choose another file")


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ('{"schema_version": 99}', "version 99.*update napari-clickseg"),
        ("{}", "card is not valid.*get the file again"),
        ("?", "card cannot be read; get the file again"),
    ],
)
def test_a_card_that_cannot_be_used(tmp_path: Path, card: str, says: str) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.ones(2)}, path, metadata={CARD_KEY: card})
    refused(path, says)


def test_another_file_than_the_expected_one(model: Path) -> None:
    refused(model, "SHA-256 differs.*get it again", expected_sha256="0" * 64)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"architecture": "nonet"}, "No network 'nonet'.*choose others"),
        ({"encoder": "resnet999"}, "resnet999.*choose others"),
        ({"encoder": "resnet18"}, "weights don't fit the card; get the file again"),
        ({"image_channels": 4}, "weights don't fit the card; get the file again"),
        ({"classes": ("cell", "bud")}, "weights don't fit the card; get the file again"),
        ({"options": {}}, "weights don't fit the card; get the file again"),
    ],
)
def test_weights_and_card_that_do_not_fit(
    model: Path,
    network: nn.Module,
    make_card: Callable[..., ModelCard],
    fields: dict[str, object],
    says: str,
) -> None:
    save_model(model, network.state_dict(), make_card(**fields))
    refused(model, says)


@pytest.mark.parametrize("change", ["one missing", "one too many"])
def test_weights_that_are_missing_or_too_many(
    model: Path, network: nn.Module, make_card: Callable[..., ModelCard], change: str
) -> None:
    weights = dict(network.state_dict())
    if change == "one missing":
        weights.pop("segmentation_head.0.bias")
    else:
        weights["tail"] = torch.ones(1)
    save_model(model, weights, make_card())
    refused(model, "weights don't fit the card; get the file again")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(
    model: Path, network: nn.Module, make_card: Callable[..., ModelCard], bad: float
) -> None:
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    weights["segmentation_head.0.bias"][0] = bad
    save_model(model, weights, make_card())
    refused(model, "not finite numbers; get the file again")
