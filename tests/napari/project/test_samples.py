from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest

from napari_clickseg._napari.project import samples

MANIFEST = PluginManifest.from_file(Path(samples.__file__).parents[2] / "napari.yaml")
OFFERED = {
    command.python_name.partition(":")[2]: command
    for command in MANIFEST.contributions.commands or []
    if command.python_name.startswith(samples.__name__)
}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("A sample wanted to download something.")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_at_least_six_samples_are_offered() -> None:
    shown = MANIFEST.contributions.sample_data or []
    assert len(shown) >= 6
    assert {sample.command for sample in shown} == {command.id for command in OFFERED.values()}


@pytest.mark.parametrize("name", OFFERED)
@pytest.mark.usefixtures("offline")
def test_a_sample_opens_as_layers_without_a_network(name: str) -> None:
    from napari.layers import Layer

    names = set()
    for data, meta, kind in getattr(samples, name)():
        layer = Layer.create(data, meta, kind)
        names.add(layer.name)
        assert layer.name
        assert np.asarray(layer.data).any()
    assert len(names) == len(getattr(samples, name)())


def test_generated_samples_are_the_same_every_time() -> None:
    for make in (samples.time_lapse, samples.two_channels):
        np.testing.assert_array_equal(make()[0][0], make()[0][0])


def test_the_stacks_have_the_axes_that_their_names_promise() -> None:
    ((cells, meta, _),) = samples.time_lapse()
    assert cells.ndim == 3
    assert meta["axis_labels"] == ("t", "y", "x")
    ((both, meta, _),) = samples.two_channels()
    assert both.shape[1] == 2
    assert meta["axis_labels"] == ("z", "c", "y", "x")


def test_the_rough_segmentation_has_a_region_for_every_coin() -> None:
    (image, _, _), (labels, _, _) = samples.coins_with_regions()
    assert labels.shape == image.shape
    assert len(np.unique(labels)) - 1 == 24
