"""`clickseg models`, as a user types it."""

from __future__ import annotations

import json

import pytest

from napari_clickseg.cli import main
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


def test_errors_are_one_line_with_status_2(model, capsys):
    for words, message in (
        (["add", "http://example.org/a.safetensors"], "is not https"),
        (["add", str(model), "--sha256", "0" * 64], "is not the file it should be"),
        (["remove", "default"], "came with the program"),
        (["show", str(model.parent)], "cannot be read"),
    ):
        assert main(["models", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert not list((model.parent / "models").glob("*"))
