"""Label maps are read as ids; masks are written whole, and over nothing."""

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_clickseg.core.source import ImageError
from napari_clickseg.data import masks
from napari_clickseg.data.masks import check_free, read_labels, write_mask

LABELS = np.arange(600, dtype=np.uint8).reshape(20, 30) % 7


def test_of_an_indexed_png_the_indices_are_read(tmp_path):
    picture = Image.fromarray(LABELS).convert("P")
    picture.putdata(LABELS.ravel().tolist())
    picture.putpalette([(37 * i) % 256 for i in range(768)])
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_labels(tmp_path / "a.png"), LABELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.bool_])
def test_labels_of_any_dtype_keep_their_ids(tmp_path, dtype):
    labels = LABELS.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", labels, photometric="minisblack")
    ids = read_labels(tmp_path / "a.tif")
    assert ids.dtype.kind in "bui"
    assert np.array_equal(ids, labels)


def test_16_bit_ids_of_a_png_survive(tmp_path):
    labels = LABELS.astype(np.uint16) + 300
    iio.imwrite(tmp_path / "a.png", labels)
    assert np.array_equal(read_labels(tmp_path / "a.png"), labels)


def test_grey_saved_as_colour_is_still_a_label_map(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.dstack([LABELS] * 3))
    assert np.array_equal(read_labels(tmp_path / "a.png"), LABELS)


def test_colours_and_fractions_are_no_ids(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.dstack([LABELS, LABELS, LABELS + 1]))
    with pytest.raises(ImageError, match="colours, not ids"):
        read_labels(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", LABELS / np.float32(2))
    with pytest.raises(ImageError, match="not ids"):
        read_labels(tmp_path / "a.tif")


def test_a_broken_png_is_said_in_one_line(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"a\.png cannot be read"):
        read_labels(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["m.tif", "m.tiff", "m.png"])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8])
def test_what_was_written_is_read_back(tmp_path, name, dtype):
    mask = (LABELS > 3).astype(dtype)
    write_mask(tmp_path / name, mask)
    labels = read_labels(tmp_path / name)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, mask)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_tiff_is_compressed(tmp_path):
    mask = np.zeros((1000, 1000), bool)
    mask[200:600, 300:700] = True
    write_mask(tmp_path / "m.tif", mask)
    assert (tmp_path / "m.tif").stat().st_size < 20_000


def test_probability_goes_into_a_tiff_only(tmp_path):
    probability = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    write_mask(tmp_path / "p.tif", probability)
    assert np.array_equal(tifffile.imread(tmp_path / "p.tif"), probability)
    with pytest.raises(ImageError, match=r"write a \.tif"):
        write_mask(tmp_path / "p.png", probability)


def test_nothing_is_overwritten_unasked(tmp_path):
    write_mask(tmp_path / "m.tif", LABELS)
    with pytest.raises(ImageError, match="--overwrite"):
        write_mask(tmp_path / "m.tif", LABELS * 0)
    assert np.array_equal(read_labels(tmp_path / "m.tif"), LABELS)
    write_mask(tmp_path / "m.tif", LABELS * 0, overwrite=True)
    assert not read_labels(tmp_path / "m.tif").any()


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write_mask(tmp_path / "m.tif", LABELS)

    def fail(path, values):
        path.write_bytes(b"half of it")
        raise OSError("the disk is full")

    monkeypatch.setattr(masks, "_encode", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_mask(tmp_path / "m.tif", LABELS * 0, overwrite=True)
    assert np.array_equal(read_labels(tmp_path / "m.tif"), LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["m.tif"]


def test_where_nothing_can_be_written_is_known_before(tmp_path):
    with pytest.raises(ImageError, match="is a folder"):
        check_free(tmp_path, overwrite=True)
    with pytest.raises(ImageError, match="There is no folder"):
        check_free(tmp_path / "none" / "m.tif")
    with pytest.raises(ImageError, match=r"\.tif or \.png"):
        write_mask(tmp_path / "m.jpg", LABELS)
