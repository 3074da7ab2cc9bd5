"""Objects of two classes, an id each, are learned as two classes, from the layers to the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_hex
from napari.components import ViewerModel
from napari.layers import Labels

from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import snapshot
from napari_clickseg._napari.train.previews import PreviewLayers, montage
from napari_clickseg._napari.viewer.metadata import mark_complete, saved_classes
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.training.finetune import finetune
from napari_clickseg.training.progress import RunProgress, follow
from napari_clickseg.training.spec import TrainingSpec
from tests.training.quick_reports import few_clicks, no_curves

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BRIGHT, DARK = (240, 8), (130, 48)  # grey value, first column
CLASSES: list[dict[str, Any]] = [
    {"id": 1, "name": "bright", "colour": "#0000ff"},
    {"id": 2, "name": "dark", "colour": "#00ff00"},
]


def test_objects_of_two_classes_are_trained_and_found_as_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_clicks(monkeypatch)
    no_curves(monkeypatch)
    viewer, layers = ViewerModel(), []
    for n in range(3):
        image = np.random.default_rng(n).normal(40, 4, (80, 80))
        ids = np.zeros(image.shape, np.uint16)
        for i, (row, (grey, column)) in enumerate([(8, DARK), (8, BRIGHT), (48, DARK)], 1):
            ids[row : row + 24, column : column + 24] = i
            image[ids == i] = grey
        labels = viewer.add_labels(ids)
        labels.metadata["napari-clickseg"] = {
            "scheme": "instances", "classes": CLASSES,
            "objects": {"1": 2, "2": 1, "3": 2},
        }  # fmt: skip
        mark_complete(labels, [()], complete=True)
        layers.append((viewer.add_image(image.astype(np.uint8), name=f"dish {n}"), labels))
    gather(snapshot(layers), tmp_path / "project")

    spec = TrainingSpec(
        project=str(tmp_path / "project"), task="multiclass", start="scratch",
        architecture="unet", encoder="tu-test_resnet", size=64, batch=4, windows=32, epochs=8,
        options={"encoder_depth": 3, "decoder_channels": [16, 8, 4]}, device="cpu", ema=0.5,
        learning_rate=0.01,
    )  # fmt: skip
    finetune(spec, tmp_path / "run")
    best = tmp_path / "run" / "best.safetensors"
    assert read_card(best).classes == ("bright", "dark")
    found = load_segmenter(str(best), "cpu").start(np.asarray(layers[0][0].data)).predict().labels
    assert found[20, 20] == 1 and found[20, 60] == found[60, 60] == 2

    events = map(json.loads, (tmp_path / "run" / "events.jsonl").read_text().splitlines())
    progress = follow(RunProgress(), events)
    shown = montage(tmp_path / "project", tmp_path / "run", progress.previews, of_classes=True)
    previews = PreviewLayers(viewer)
    while not previews.show(shown):
        pass
    for layer in previews.layers[1:]:
        assert isinstance(layer, Labels)
        for one in CLASSES:
            assert to_hex(layer.get_color(one["id"])) == one["colour"]


def test_classes_without_a_colour_or_a_name_are_classes_all_the_same() -> None:
    layer = Labels(np.eye(4, dtype=np.uint8))
    layer.metadata["napari-clickseg"] = {
        "scheme": "instances", "classes": [{"id": 1, "name": "cell"}, {"id": 2}],
        "objects": {"1": 2},
    }  # fmt: skip
    classes, objects = saved_classes(layer)
    assert classes is not None
    assert [(one.id, one.name) for one in classes.classes] == [(1, "cell"), (2, "2")]
    assert len({one.colour for one in classes.classes}) == 2
    assert objects.of_ids == {1: 2}
