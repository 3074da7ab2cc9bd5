"""The model that a review begins with fits the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_clickseg._napari.review.offers import OffersReader
from napari_clickseg._napari.review.text import model_text
from napari_clickseg.models.card import DataSource, ModelCard, WindowSpec
from napari_clickseg.models.checkpoint import save_model
from napari_clickseg.models.trained_models import best_fitting

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Three trained models, the older first: of a, of b, and a second one of b that got worse."""
    for number, (name, helped) in enumerate((("a", "better"), ("b", "better"), ("b", "worse"))):
        card = ModelCard(
            name="m", architecture="unet", encoder="none", encoding="image", automatic=True,
            window=WindowSpec(zoom=1.0),
            data=(DataSource(name=str(tmp_path / name), images=3, licence="not stated"),),
            training={"helped": helped},
        )  # fmt: skip
        run = tmp_path / "home" / "runs" / f"{name}-{number}"
        run.mkdir(parents=True)
        save_model(run / "best.safetensors", {"weight": torch.zeros(1)}, card)
    return tmp_path / "home"


@pytest.mark.parametrize(("project", "wanted"), [("a", "a-0"), ("b", "b-1")])
def test_a_review_begins_with_the_model_that_learned_from_the_project(
    home: Path, project: str, wanted: str
) -> None:
    models = OffersReader(home, home).look().models
    offer = best_fitting(models, str(home.parent / project))
    assert offer is not None and offer.name == wanted
    assert not model_text(offer, str(home.parent / project))
    table = best_fitting(models, str(home.parent / project / "index.csv"))
    assert table == offer, "a project is known by its table as well"


def test_that_another_model_is_used_is_said(home: Path) -> None:
    models = OffersReader(home, home).look().models
    offer = best_fitting(models, str(home.parent / "c"))
    assert offer is not None and not offer.worse
    assert model_text(offer, "c") == f"“{offer.name}” was not trained on this project."


def test_a_model_that_got_worse_comes_last_and_says_so(home: Path) -> None:
    models = [one for one in OffersReader(home, home).look().models if not one.needs_clicks]
    assert [one.worse for one in models] == [False, False, False, True]
    models = [one for one in models if not one.bundled]
    assert best_fitting(models[2:], "b") == models[2], "there is no other"
    assert "did worse than the model that its training began with" in model_text(models[2], "c")
