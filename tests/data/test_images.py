"""Images of every kind on disk become planes that a session takes."""

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from napari_clickseg.core.source import ImageError, ImageSource
from napari_clickseg.data.images import open_image, read_plane
from napari_clickseg.data.reading import header

STACK = np.arange(2 * 3 * 20 * 30, dtype=np.uint16).reshape(2, 3, 20, 30)  # Z, C, Y, X


@pytest.fixture
def lazy(monkeypatch):
    """Treat every TIFF as too large to be read whole."""
    monkeypatch.setattr(header, "LAZY", 0)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.npy", "a.zarr"])
def test_grey_image_of_any_format_is_read_as_it_is(tmp_path, name):
    picture = np.arange(600, dtype=np.uint8).reshape(20, 30)
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, picture)
    elif name.endswith(".zarr"):
        zarr.save_array(path, picture)
    else:
        iio.imwrite(path, picture)
    plane = read_plane(path)
    assert not plane.rgb
    assert np.array_equal(plane.data[:], picture)
    assert ImageSource(plane.data, rgb=plane.rgb).shape == (20, 30)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colour_image_is_colour_with_or_without_alpha(tmp_path, name, channels):
    picture = np.arange(20 * 30 * channels, dtype=np.uint8).reshape(20, 30, channels)
    path = tmp_path / name
    np.save(path, picture) if name.endswith(".npy") else iio.imwrite(path, picture)
    plane = read_plane(path)
    assert plane.rgb
    source = ImageSource(plane.data, rgb=plane.rgb)
    assert source.channels == 3
    assert np.array_equal(source.read_all(), picture[..., :3])


def test_of_grey_with_alpha_the_grey_is_taken(tmp_path):
    picture = np.arange(20 * 30 * 2, dtype=np.uint8).reshape(20, 30, 2)
    iio.imwrite(tmp_path / "a.png", picture)
    assert np.array_equal(read_plane(tmp_path / "a.png").data, picture[..., 0])


@pytest.mark.parametrize("large", [False, True])
def test_a_plane_and_channels_of_a_stack(tmp_path, large, request):
    if large:
        request.getfixturevalue("lazy")
    tifffile.imwrite(
        tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZCYX"}, photometric="minisblack"
    )
    image = open_image(tmp_path / "a.ome.tif")
    assert image.stack_axes == [("Z", 2)]
    whole = image.plane((1,)).data
    assert whole.shape == (20, 30, 3)
    assert np.array_equal(whole[:, :], np.moveaxis(STACK[1], 0, -1))
    assert np.array_equal(image.plane((0,), (2,)).data[:, :], STACK[0, 2])
    two = image.plane((0,), (2, 0)).data
    assert two.shape == (20, 30, 2)
    assert np.array_equal(two[4:9:2, 3:], np.moveaxis(STACK[0, [2, 0]], 0, -1)[4:9:2, 3:])


@pytest.mark.parametrize("large", [False, True])
def test_channels_at_the_end(tmp_path, large, request):
    if large:
        request.getfixturevalue("lazy")
    picture = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb")
    assert np.array_equal(read_plane(tmp_path / "a.tif").data[:, :], picture)
    second = read_plane(tmp_path / "a.tif", channels=(1,))
    assert not second.rgb
    assert np.array_equal(second.data[:, :], picture[..., 1])


def test_a_large_tiff_is_not_read_whole(tmp_path, lazy):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0, 0], tile=(16, 16))
    plane = read_plane(tmp_path / "a.tif")
    assert not isinstance(plane.data, np.ndarray)
    source = ImageSource(plane.data, rgb=plane.rgb)
    assert np.array_equal(source.read_all()[..., 0], STACK[0, 0])


def test_a_large_tiff_pyramid_keeps_its_levels(tmp_path, lazy):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(STACK[0, 0], subifds=1, tile=(16, 16))
        file.write(STACK[0, 0, ::2, ::2], subfiletype=1, tile=(16, 16))
    levels = read_plane(tmp_path / "a.ome.tif").data
    assert [level.shape for level in levels] == [(20, 30), (10, 15)]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_gives_its_levels_and_axes(tmp_path, version):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    for level, step in (("0", 1), ("1", 2)):
        group.create_array(level, data=STACK[..., ::step, ::step])
    axes = [{"name": name} for name in ("z", "c", "y", "x")]
    multiscales = [{"axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}]
    about = {"multiscales": multiscales, "version": version}
    group.attrs.update(about if version == "0.4" else {"ome": about})
    levels = read_plane(path, (1,), (0,)).data
    assert [level.shape for level in levels] == [(20, 30), (10, 15)]
    assert np.array_equal(levels[1][:, :], STACK[1, 0, ::2, ::2])
    assert ImageSource(levels).shape == (20, 30)


def test_ome_zarr_without_axes_is_guessed(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", data=STACK[0])
    group.attrs["multiscales"] = [{"datasets": [{"path": "0"}]}]
    assert open_image(tmp_path / "a.zarr").stack_axes == [("Q", 3)]


def test_a_zarr_group_of_one_array_is_that_array(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("only", data=STACK[0, 0])
    assert np.array_equal(read_plane(tmp_path / "a.zarr").data[:], STACK[0, 0])
    group.create_array("another", data=STACK[0, 0])
    with pytest.raises(ImageError, match="path of an array"):
        read_plane(tmp_path / "a.zarr")


def test_many_channels_at_the_end_of_an_array_are_channels(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((40, 50, 6), np.float32))
    assert read_plane(tmp_path / "a.npy").data.shape == (40, 50, 6)
    np.save(tmp_path / "b.npy", np.zeros((6, 40, 50), np.float32))
    assert open_image(tmp_path / "b.npy").stack_axes == [("Q", 6)]


def test_an_animation_is_a_stack_of_colour_pictures(tmp_path):
    frames = np.zeros((3, 20, 30, 3), np.uint8)
    frames[1:, :10] = 200
    frames[2, 10:] = 90
    iio.imwrite(tmp_path / "a.gif", frames)
    assert open_image(tmp_path / "a.gif").stack_axes == [("Q", 3)]
    assert read_plane(tmp_path / "a.gif", (1,)).rgb


def test_axes_of_length_one_need_no_choice(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK[:1, :1], metadata={"axes": "ZCYX"})
    assert np.array_equal(read_plane(tmp_path / "a.ome.tif").data, STACK[0, 0])


def test_a_compression_that_tifffile_lacks_is_read_where_possible(tmp_path):
    picture = np.arange(600, dtype=np.uint8).reshape(20, 30)
    iio.imwrite(tmp_path / "a.tif", picture, plugin="pillow", compression="tiff_lzw")
    assert np.array_equal(read_plane(tmp_path / "a.tif").data, picture)


@pytest.mark.parametrize(
    ("index", "channels", "message"),
    [
        ((), (), r"stack \(Z 0 to 1\).*--plane 0\."),
        ((2,), (), "no plane 2; choose 0 to 1"),
        ((0, 0), (), r"stack \(Z 0 to 1\)"),
        ((0,), (3,), "no channel 3; choose 0 to 2"),
    ],
)
def test_a_choice_that_does_not_fit_says_what_does(tmp_path, index, channels, message):
    tifffile.imwrite(
        tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZCYX"}, photometric="minisblack"
    )
    with pytest.raises(ImageError, match=message):
        read_plane(tmp_path / "a.ome.tif", index, channels)


def test_a_plain_image_has_no_planes_or_channels_to_choose(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((20, 30)))
    assert read_plane(tmp_path / "a.npy", channels=(0,)).data.shape == (20, 30)
    with pytest.raises(ImageError, match="single plane"):
        read_plane(tmp_path / "a.npy", (0,))
    with pytest.raises(ImageError, match="no channel 1; it has only one"):
        read_plane(tmp_path / "a.npy", channels=(1,))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.jpg", "a.xyz"])
@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_what_is_no_image_is_said_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=rf"{name} cannot be read") as caught:
        open_image(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_truncated_image_is_said_in_one_line(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)
    iio.imwrite(tmp_path / "a.png", noise)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path / "a.png")


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path / "a.npy")


def test_missing_files_folders_and_planes(tmp_path):
    with pytest.raises(ImageError, match="There is no file"):
        open_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="no Zarr"):
        open_image(tmp_path)
    np.save(tmp_path / "line.npy", np.zeros(5))
    with pytest.raises(ImageError, match=r"no plane \(Y, X\)"):
        open_image(tmp_path / "line.npy")
