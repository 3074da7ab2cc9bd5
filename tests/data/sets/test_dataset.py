from __future__ import annotations

from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_clickseg.core.intensity import measure
from napari_clickseg.core.source import ImageError, ImageSource
from napari_clickseg.data.project import Record
from napari_clickseg.data.sets.dataset import IGNORED, ClassMap, Dataset, Sample, read_sample

if TYPE_CHECKING:
    from pathlib import Path


def record(folder: Path, image: np.ndarray, mask: np.ndarray, name: str = "a") -> Record:
    path, truth = folder / f"{name}.tif", folder / f"{name}-mask.png"
    axes = {"axes": "YXC"} if image.ndim == 3 else {"axes": "YX"}
    tifffile.imwrite(path, image, photometric="minisblack", metadata=axes)
    iio.imwrite(truth, mask)
    return Record(path, truth, name, f"{name}.tif")


def test_an_image_of_8_bits_takes_8_bits_and_looks_as_at_run_time(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(20, 90, (30, 40), np.uint8)
    sample = read_sample(record(tmp_path, image, np.eye(30, 40, dtype=np.uint8)))
    assert sample.pixels.dtype == np.uint8
    assert sample.pixels.shape == (1, 30, 40)
    source = ImageSource(image)
    seen = measure(source).apply(source.read_all())[..., 0]
    assert np.abs(sample.pixels[0] / sample.scale - seen).max() < 0.003


def test_an_image_of_16_bits_keeps_its_finer_steps(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 60_000, (30, 40, 2)).astype(np.uint16)
    sample = read_sample(record(tmp_path, image, np.zeros((30, 40), np.uint8)))
    assert sample.pixels.dtype == np.float16
    assert sample.pixels.shape[0] == 2
    assert 0 <= sample.pixels.min() < sample.pixels.max() <= sample.scale == 1


def test_a_mask_of_another_size_is_refused_by_name(tmp_path: Path) -> None:
    wrong = record(tmp_path, np.zeros((30, 40), np.uint8), np.zeros((30, 41), np.uint8), "cell")
    with pytest.raises(ImageError, match=r"cell.tif.*size"):
        read_sample(wrong)


def test_images_are_read_once_as_long_as_there_is_room(tmp_path: Path) -> None:
    records = [Record(tmp_path, tmp_path, str(i), str(i)) for i in range(5)]
    reads: list[str] = []

    def read(one: Record) -> Sample:
        reads.append(one.name)
        return Sample(one, np.zeros((1, 512, 1024), np.uint8), np.zeros((512, 1024), np.uint8))

    roomy = Dataset(records, 100, read=read)
    for _ in range(2):
        assert [roomy[i].record.name for i in range(len(roomy))] == list("01234")
    assert len(reads) == 5
    reads.clear()
    narrow = Dataset(records, 3, read=read)  # three of a MiB each
    for i in (0, 1, 2, 2, 1, 3, 1, 0):
        assert narrow[i].record.name == str(i)
    assert reads == list("01230"), "what was not asked for in the longest time goes first"
    assert narrow.nbytes <= 3 << 20


def test_ids_become_indices_of_classes() -> None:
    labels = np.array([[0, 3, 7, 9, 255]])
    both = ClassMap(((3,), (7, 9)), ("a", "b"), ignore=255)
    np.testing.assert_array_equal(both.indices(labels), [[0, 1, 2, 2, IGNORED]])
    assert both.output_ids == (3, 2)
    everything = ClassMap(((),), ("object",))
    np.testing.assert_array_equal(everything.indices(labels), [[0, 1, 1, 1, 1]])
