"""The bundled model that finds nuclei and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from default_model.crowds import crowd, rendered
from napari_clickseg.engine.finding import ObjectFinder
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.evaluation.matching import match
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.models.registry import find_model
from napari_clickseg.models.trained_models import TrainedModels, best_fitting

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = find_model("nuclei")


def test_it_is_small_and_its_card_says_what_it_learned_from_and_where_it_fails() -> None:
    card = read_card(ENTRY.path)
    assert ENTRY.path.stat().st_size <= 8 * 2**20
    assert {one.licence for one in card.data} >= {"CC0", "CC BY 4.0"}
    assert "fails" in card.limits
    assert card.metrics["sets"]["dsb2018"]["model"]["ap_50"] > 0.7
    assert card.objects is not None


def test_with_nothing_trained_it_is_what_finds_all_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLICKSEG_HOME", str(tmp_path))
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    offers = TrainedModels(tmp_path).offers()
    offer = best_fitting([one for one in offers if one.tells_apart], "")
    assert offer is not None
    assert offer.path == str(ENTRY.path)


@pytest.mark.parametrize("grey", [True, False])
def test_touching_objects_that_it_never_saw_are_told_apart(grey: bool) -> None:
    labels = crowd(77, 160, 60)
    image = rendered(labels, np.random.default_rng(4))
    picture = image if grey else np.stack([image, image // 2, 255 - image], axis=2)
    objects = ObjectFinder.of(load_segmenter("nuclei"), picture, rgb=not grey).find()
    assert objects is not None
    assert match(objects.labels, labels).pq > 0.6
