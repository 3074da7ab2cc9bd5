"""What microscopes write is read as any other image: planes, channels, scenes, size of pixels."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import open_image, read_layout, read_plane, read_single_plane
from napari_clickseg.data.pixel_size import PixelSize, read_pixel_size
from napari_clickseg.data.reading import microscopes
from tests.data.microscope_writers import (
    DATA,
    write_czi,
    write_lif,
    write_nd2,
    write_oib,
    write_oif,
)

if TYPE_CHECKING:
    from pathlib import Path

WRITERS = {
    "a.czi": write_czi,
    "a.lif": lambda path: write_lif(path, {"one": DATA}),
    "a.oif": write_oif,
    "a.oib": write_oib,
}


@pytest.fixture(params=WRITERS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return WRITERS[request.param](tmp_path / request.param)


def test_planes_and_channels_are_chosen_as_of_any_image(path: Path) -> None:
    assert open_image(path).stack_axes == [("Z", 3)]
    plane = read_plane(path, (2,))
    assert not plane.rgb
    assert plane.dtype == np.uint16
    assert np.array_equal(plane.read_all(), np.moveaxis(DATA[2], 0, -1))
    assert np.array_equal(read_plane(path, (1,), (1,)).read_all(), DATA[1, 1])
    for index in (np.s_[5:20, 7:9], np.s_[-3:, ::4], np.s_[::-2, 3:4], np.s_[4:4, :]):
        assert np.array_equal(read_plane(path, (1,), (0,)).data[index], DATA[1, 0][index])


def test_the_size_of_pixels_is_read(path: Path) -> None:
    size = read_pixel_size(path)
    assert size is not None
    assert (size.y, size.x, size.z) == pytest.approx((0.25, 0.5, 2.0))
    assert size.unit == "µm"


def test_what_is_in_the_file_decides_and_not_its_name(path: Path) -> None:
    if path.suffix != ".oif":  # whose content is a text like others
        renamed = path.rename(path.with_name("b"))
        assert np.array_equal(read_plane(renamed, (0,), (0,)).read_all(), DATA[0, 0])


def test_a_package_that_lacks_is_named_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pylibCZIrw.czi", "pylibCZIrw", "liffile", "oiffile"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImageError, match=r"pip install 'napari-clickseg\[microscopes\]'") as error:
        open_image(path)
    assert "\n" not in str(error.value)
    assert read_pixel_size(path) is None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_is_cut_short_is_an_error_of_one_line(path: Path, share: float) -> None:
    cut = path if path.suffix != ".oif" else path.with_name("a.oif.files") / "s_C002Z003.tif"
    content = cut.read_bytes()
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError) as error:
        for z in range(3):
            read_plane(path, (z,)).read_all()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.czi", "a.lif"])
def test_of_several_images_one_is_chosen(tmp_path: Path, name: str) -> None:
    more = {"small": DATA[:1, :1, :9, :9], "one": DATA, "two": DATA + 1}
    path = tmp_path / name
    path = write_lif(path, more) if name == "a.lif" else write_czi(path, scenes=2)
    first = 1 if name == "a.lif" else 0
    assert any("it holds" in text for text in open_image(path).notices)
    assert np.array_equal(read_plane(path, (0,), (0,)).read_all(), DATA[0, 0])
    other = read_plane(path, (0,), (0,), scene=first + 1).read_all()
    assert np.array_equal(other, DATA[0, 0] + 1)
    with pytest.raises(ImageError, match=r"no image 7: it holds .* choose 0 to"):
        read_plane(path, scene=7)


def test_colours_of_a_czi_come_out_red_first(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 255, (1, 1, 30, 50, 3), np.uint8)
    plane = read_plane(write_czi(tmp_path / "a.czi", data))
    assert plane.rgb
    assert np.array_equal(plane.read_all(), data[0, 0])


def test_a_large_czi_is_a_pyramid_that_is_read_window_by_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microscopes, "_LARGE_PLANE", 1000**2)
    y, x = np.mgrid[:1051, :2200]
    data = ((y // 64 + x // 64) % 2 * 200).astype(np.uint8)
    path = write_czi(tmp_path / "a.czi", data[None, None])
    levels = read_plane(path).data
    assert [level.shape for level in levels] == [(1051, 2200), (525, 1100), (262, 550)]
    assert np.array_equal(levels[0][900:, 2100:], data[900:, 2100:])
    assert np.abs(levels[2][16:32, 32:48].astype(int) - data[64:128:4, 128:192:4]).mean() < 20


def test_an_nd2_is_read_with_its_channels_and_the_size_of_pixels_if_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_nd2(tmp_path / "a.nd2", DATA[0])
    plane, layout = read_single_plane(path), read_layout(path)
    assert (plane.shape, plane.dtype, plane.rgb) == (layout.shape, layout.dtype, layout.rgb)
    assert np.array_equal(plane.read_all(), np.moveaxis(DATA[0], 0, -1))
    assert np.array_equal(plane.data[3:9:2, ::-1], np.moveaxis(DATA[0], 0, -1)[3:9:2, ::-1])
    assert np.array_equal(read_plane(path, (), (1,)).read_all(), DATA[0, 1])
    assert read_pixel_size(path) == PixelSize(0.25, 0.25, "µm")
    assert read_pixel_size(write_nd2(path, DATA[0], calibrated=False)) is None
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ImageError) as error:
            read_single_plane(path).read_all()
        assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "nd2", None)
    with pytest.raises(ImageError, match=r"pip install 'napari-clickseg\[microscopes\]'"):
        read_single_plane(path)


def test_a_plane_that_is_gone_is_an_error_and_not_zeros(tmp_path: Path) -> None:
    path = write_oif(tmp_path / "a.oif")
    (tmp_path / "a.oif.files" / "s_C001Z002.tif").unlink()
    with pytest.raises(ImageError, match="put its other files beside it"):
        read_plane(path, (1,)).read_all()


def test_layouts_say_what_is_read(path: Path) -> None:
    with pytest.raises(ImageError, match=r"is a stack \(Z 0 to 2\)"):
        read_layout(path)


@pytest.mark.slow
def test_a_microscope_s_file_is_segmented_on_the_command_line(tmp_path: Path) -> None:
    from napari_clickseg.cli import main

    data = np.zeros((2, 2, 96, 128), np.uint16)
    data[1, 1, 30:60, 40:80] = 9000
    write_lif(tmp_path / "a.lif", {"one": data[:, :, :9, :9], "two": data})
    arguments: list[Any] = [
        "predict", tmp_path / "a.lif", "--scene", 1, "--plane", 1, "--channel", 1,
        "--positive", "45,60", "--out", tmp_path / "m.tif", "--device", "cpu",
    ]  # fmt: skip
    assert main([str(each) for each in arguments]) == 0
    mask = tifffile.imread(tmp_path / "m.tif") > 0
    assert (mask & (data[1, 1] > 0)).sum() / (mask | (data[1, 1] > 0)).sum() > 0.8
