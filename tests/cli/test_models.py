"""`clickseg models`, as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_clickseg.cli import main
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.models.checkpoint import save_model, sha256
from napari_clickseg.models.network import build_network


@pytest.fixture
def model(make_card, tmp_path, monkeypatch):
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    path, card = tmp_path / "cells.safetensors", make_card(description="Cells.")
    save_model(path, build_network(card).state_dict(), card)
    return path


def test_a_model_is_added_listed_shown_and_removed(model, capsys):
    digest = sha256(model)
    assert main(["models", "add", str(model), "--sha256", digest]) == 0
    assert capsys.readouterr().out == f"cells: added from {model} (SHA-256 {digest}).\n"
    for words in (["models"], ["models", "list"]):
        assert main(words) == 0
        assert "\ncells: Cells. (unet with mobilenet_v2, " in capsys.readouterr().out
    assert main(["models", "show", "cells"]) == 0
    shown = capsys.readouterr().out
    assert f"  From: {model}\n" in shown
    assert "  Clicks: are needed\n" in shown
    assert main(["models", "show", "cells", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == digest
    assert main(["models", "remove", "cells"]) == 0
    assert main(["models", "show", "cells"]) == 2
    assert "There is no model 'cells'" in capsys.readouterr().err


def test_a_model_that_was_changed_since_does_not_say_where_it_came_from(model, make_card, capsys):
    assert main(["models", "add", str(model)]) == 0
    kept, other = model.parent / "models/cells.safetensors", make_card(description="Others.")
    save_model(kept, build_network(other).state_dict(), other)
    assert main(["models", "show", "cells", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["origin"] is None


def test_a_network_of_another_program_predicts_the_rest_of_a_project(model, tmp_path, capsys):
    import warnings

    import torch

    bright = torch.nn.Conv2d(1, 1, 1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bright.weight.fill_(50.0)
        bright.bias.fill_(-25.0)
        axes = {"x": {0: "n", 2: "h", 3: "w"}}
        torch.onnx.export(bright, (torch.rand(1, 1, 32, 32),), tmp_path / "bright.onnx",
                          input_names=["x"], dynamic_axes=axes, dynamo=False)  # fmt: skip
    image = np.zeros((70, 90), np.uint8)
    image[20:50, 30:60] = 200
    writer = ProjectWriter(tmp_path / "project")
    writer.add("a", image, (image > 0).astype(np.uint8))
    writer.add("b", image[::-1, ::-1].copy())
    words = ["--classes", "cell", "--window", "64", "--licence", "CC0-1.0"]
    assert main(["models", "import", str(tmp_path / "bright.onnx"), *words]) == 0
    assert capsys.readouterr().out == (
        "bright: added. It was taken for: 1 image channel; classes cell; windows of 64 pixels; "
        "answers with logits.\n"
    )
    command = ["predict", str(writer.folder), "--rest", "--model", "bright", "--device", "cpu"]
    assert main(command) == 0
    (review,) = ReviewQueue(writer.folder).waiting()
    labels = read_labels(writer.folder / review.prediction)
    np.testing.assert_array_equal(labels > 0, image[::-1, ::-1] > 0)


def test_errors_are_one_line_with_status_2(model, capsys):
    for words, message in (
        (["add", "http://example.org/a.safetensors"], "is not https"),
        (["add", str(model), "--sha256", "0" * 64], "is not the file it should be"),
        (["remove", "default"], "came with the program"),
        (["show", str(model.parent)], "cannot be read"),
        (["import", str(model)], "say of which network"),
        (["import", "none.onnx"], "cannot be read"),
        (["export", "none", "--to", "onnx", "--out", "m.onnx"], "There is no model 'none'"),
    ):
        assert main(["models", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert not list((model.parent / "models").glob("*"))
