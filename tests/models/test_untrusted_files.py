"""A model's file that anybody may have made asks no network, reads nothing else, and has bounds."""

from __future__ import annotations

import json
import os
import resource
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg.models.card import ModelCard
from napari_clickseg.models.checkpoint import (
    CARD_KEY,
    ModelFileError,
    load_network,
    read_card,
    save_model,
)
from napari_clickseg.models.network import build_network

if TYPE_CHECKING:
    from pathlib import Path

BASE: dict[str, Any] = {
    "name": "t",
    "architecture": "unet",
    "encoder": "mobilenet_v2",
    "options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]},
    "window": {"size": 64},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is as it should be."""
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    card = ModelCard.model_validate(BASE)
    save_model(path, build_network(card).state_dict(), card)
    return path


def changed(sound: Path, folder: Path, **change: Any) -> Path:
    """Write a copy of a file with another card."""
    raw = sound.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"] = {CARD_KEY: json.dumps(BASE | change)}
    text = json.dumps(header).encode()
    path = folder / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": "tu-hf_hub:timm/resnet18.a1_in1k"},
        {"encoder": "tu-hf-hub:someone/model"},
        {"encoder": "tu-local-dir:{folder}"},
        {"encoder": "tu-{folder}"},
        {"architecture": "hf-hub:someone/model"},
        {"options": {"encoder_weights": "imagenet"}},
        {"encoder": "tu-resnet18", "options": {"pretrained": True}},
        {"encoder": "tu-resnet18", "options": {"pretrained_cfg_overlay": {"url": "http://a/x"}}},
        {"encoder": "tu-resnet18", "options": {"cache_dir": "x"}},
    ],
)
def test_names_are_those_that_the_libraries_list(
    sound: Path, tmp_path: Path, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(host: object, *_: object, **__: object) -> None:
        asked.append(str(host))
        raise socket.gaierror("refused")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "config.json").write_text('{"architecture": "resnet18", "num_classes": 0}')
    accessed = (folder / "config.json").stat().st_atime_ns
    text = json.loads(json.dumps(change).replace("{folder}", str(folder)))
    with pytest.raises(ModelFileError, match=r"No network|takes no|makes no sense") as caught:
        load_network(changed(sound, tmp_path, **text))
    assert "\n" not in str(caught.value)
    assert not asked
    assert (folder / "config.json").stat().st_atime_ns == accessed


@pytest.mark.parametrize(
    "change",
    [
        {"window": {"size": 4096}},
        {"window": {"size": 64, "margin": 1e308}},
        {"window": {"size": 64, "smallest_span": 10**9}},
        {"window": {"size": 64, "first_span": 10**12}},
        {"window": {"size": 64, "largest_span": 10**12}},
        {"disk_radius": 1e9},
        {"class_ids": [2**70]},
        {"class_ids": [-5]},
        {"scouting": {"size": 128, "weights": [1e300]}},
        {"scouting": {"size": 128, "weights": [0.0] * 10_000}},
        {"options": {"decoder_channels": [10**6] * 5}},
        {"options": {"decoder_channels": list(range(10_000))}},
        {"options": {"activation": "__import__('os')"}},
        {"description": "a" * 10**6},
    ],
)
def test_everything_in_a_card_has_bounds(
    sound: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(ModelFileError, match="card is not valid"):
        read_card(changed(sound, tmp_path, **change))


def test_a_network_is_built_only_where_its_weights_are_there(sound: Path, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = changed(sound, tmp_path, encoder="tu-vit_giant_patch14_clip_224", architecture="dpt",
                   options={})  # fmt: skip
    with pytest.raises(ModelFileError, match="don't fit the card"):
        load_network(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1024**2  # KiB; the network itself takes 4 GiB


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match="it is not a file"):
        read_card(tmp_path / "m.safetensors")


def test_a_sound_file_is_loaded(sound: Path) -> None:
    network, card = load_network(sound)
    assert card.encoder == "mobilenet_v2"
    assert not network.training
