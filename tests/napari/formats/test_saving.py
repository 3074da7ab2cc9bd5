"""Labels saved by napari's own Save keep what is known of their objects, and come back with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels

from napari_clickseg._napari.formats.saved_labels import get_reader
from napari_clickseg._napari.viewer.features import features_of, saved_notes, with_notes
from napari_clickseg._napari.viewer.layers import make_annotation
from napari_clickseg._napari.viewer.metadata import ObjectClasses, saved_classes, with_classes
from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ProjectClasses(classes=(ProjectClass(id=2, name="cell", colour="#ff0000"),))
NOTES = {5: ObjectNote(score=0.75, clicks=3, model="default")}


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> None:
    from npe2 import PluginManager

    PluginManager.instance().discover()  # again, whatever windows were open before


def _ours(shape: tuple[int, ...] = (20, 30), **options: Any) -> Labels:
    data = np.zeros(shape, np.uint16)
    data[..., 2:9, 3:8] = 5
    data[..., 12:14, 3:8] = 6
    objects = ObjectClasses({5: 2})
    return Labels(
        data,
        name="dish annotation",
        metadata=with_classes(CLASSES, objects) | with_notes(NOTES),
        features=features_of(CLASSES, objects.of_ids, NOTES),
        scale=(*(1.0,) * (len(shape) - 2), 0.5, 0.25),
        units=(*("pixel",) * (len(shape) - 2), "micrometer", "micrometer"),
        **options,
    )


def _opened(path: Path) -> Labels:
    reader = get_reader(str(path))
    assert reader is not None
    ((data, meta, kind),) = reader(str(path))
    assert kind == "labels"
    return Labels(data, **meta)


@pytest.mark.parametrize("name", ["dish annotation.tif", "dish annotation.ome.zarr"])
@pytest.mark.parametrize("shape", [(20, 30), (3, 20, 30)])
def test_saved_labels_come_back_with_classes_objects_and_pixel_size(tmp_path, name, shape):
    layer = _ours(shape)
    path = tmp_path / name
    assert layer.save(str(path), plugin="napari-clickseg") == [str(path)]
    back = _opened(path)
    assert (np.asarray(back.data) == layer.data).all()
    assert saved_classes(back) == (CLASSES, ObjectClasses({5: 2}))
    assert saved_notes(back.metadata) == NOTES
    assert back.features.equals(layer.features)
    assert back.scale.tolist() == layer.scale.tolist()
    assert [str(unit) for unit in back.units] == [str(unit) for unit in layer.units]


def test_ids_that_are_other_objects_in_each_plane_stay_so(tmp_path):
    layer = _ours((2, 20, 30))
    objects = ObjectClasses({}, {(0, 0, 0): {5: 2}, (1, 0, 0): {5: 2, 6: 2}})
    layer.metadata.update(with_classes(CLASSES, objects))
    layer.save(str(tmp_path / "a.tif"), plugin="napari-clickseg")
    assert saved_classes(_opened(tmp_path / "a.tif"))[1] == objects


def test_labels_of_others_are_written_as_napari_writes_them(tmp_path):
    from napari_builtins.io import napari_write_labels

    layer = Labels(np.eye(9, dtype=np.uint8), name="theirs")
    data, meta, _ = layer.as_layer_data_tuple()
    layer.save(str(tmp_path / "ours.tif"), plugin="napari-clickseg")
    napari_write_labels(str(tmp_path / "theirs.tif"), data, meta)
    assert (tmp_path / "ours.tif").read_bytes() == (tmp_path / "theirs.tif").read_bytes()
    assert get_reader(str(tmp_path / "ours.tif")) is None


def test_napari_asks_nobody_else_for_kinds_that_are_not_ours():
    from npe2 import PluginManager

    manager = PluginManager.instance()
    for name, kind in (("a.npz", "labels"), ("a.tif", "image"), ("a.csv", "points")):
        writer, _ = manager.get_writer(name, [kind])
        assert writer is not None
        assert writer.plugin_name == "napari", (name, kind)


def test_a_pyramid_is_saved_at_its_finest_level(tmp_path):
    """napari's own writer fails at pyramids."""
    fine = np.kron(np.arange(12, dtype=np.uint16).reshape(3, 4), np.ones((40, 40), np.uint16))
    layer = Labels([fine, fine[::2, ::2]], multiscale=True, name="a", scale=(2, 3))
    layer.save(str(tmp_path / "a.tif"), plugin="napari-clickseg")
    assert (tifffile.imread(tmp_path / "a.tif") == fine).all()


@pytest.mark.slow
def test_the_annotation_of_a_large_plane_is_saved(tmp_path, monkeypatch):
    from napari_clickseg._napari.formats import writers

    monkeypatch.setattr(writers, "_LARGE", 1 << 20)
    big = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (8200, 8200), (0, 0))
    layer = make_annotation(Image(big, contrast_limits=(0, 255)), None)
    assert layer.multiscale
    layer.data[0][5000:5010, 8190:] = 7
    layer.save(str(tmp_path / "m02.tif"), plugin="napari-clickseg")
    with tifffile.TiffFile(tmp_path / "m02.tif") as file:
        page = file.pages[0]
        assert page.shape == (8200, 8200)
        assert page.is_tiled
    back = tifffile.imread(tmp_path / "m02.tif", selection=(slice(4990, 5020), slice(8180, None)))
    assert (back == 7).sum() == 100
    layer.save(str(tmp_path / "m02.zarr"), plugin="napari-clickseg")
    again = _opened(tmp_path / "m02.zarr")
    assert again.multiscale
    assert int(np.asarray(again.data[0][5000:5010, 8190:]).sum()) == 700


def test_columns_of_the_user_stay_in_the_table():
    import pandas as pd

    before = pd.DataFrame({"index": [5, 6, 8], "mine": [1.5, 2.5, None], "class": ["x", "y", "z"]})
    after = features_of(CLASSES, {5: 2}, NOTES, before)
    assert after["index"].tolist() == [5, 6]
    assert after["mine"].tolist() == [1.5, 2.5]
    assert after["class"].tolist()[0] == "cell"
