"""The mean of a model and the one that its run started from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from default_model import average
from napari_clickseg.models.checkpoint import read_card, save_model, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard


def test_weights_lie_between_and_the_card_says_so(
    tmp_path: Path, make_card: Callable[..., ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, trained, mean = (tmp_path / f"{name}.safetensors" for name in ("a", "b", "mean"))
    save_model(start, {"w": torch.tensor([0.0, 4.0])}, make_card())
    save_model(trained, {"w": torch.tensor([1.0, 8.0])}, make_card(training={"samples": 7}))
    arguments = ["average", str(start), str(trained), "--share", "0.25", "--out", str(mean)]
    monkeypatch.setattr(sys, "argv", arguments)
    average.main()
    assert load_file(mean)["w"].tolist() == [0.25, 5.0]
    training = read_card(mean).training
    assert training["samples"] == 7
    assert training["averaged"] == {"share": 0.25, "with": sha256(start)}


def test_models_of_two_architectures(
    tmp_path: Path,
    make_card: Callable[..., ModelCard],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start, trained = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_model(start, {"w": torch.zeros(2)}, make_card())
    save_model(trained, {"v": torch.zeros(2)}, make_card())
    out = tmp_path / "mean.safetensors"
    monkeypatch.setattr(sys, "argv", ["average", str(start), str(trained), "--out", str(out)])
    with pytest.raises(SystemExit):
        average.main()
    assert "another architecture" in capsys.readouterr().err
    assert not out.exists()
