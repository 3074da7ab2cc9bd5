"""Files as other programs write them are read as those programs show them, or refused in a line."""

from __future__ import annotations

import os
import struct
import uuid
import zlib
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_clickseg.core.source import ImageError, ImageSource
from napari_clickseg.data.images import (
    open_image,
    read_layout,
    read_plane,
    read_single_plane,
)
from napari_clickseg.data.masks import read_labels, read_mask
from napari_clickseg.data.reading import header
from napari_clickseg.data.reading.lazy import Stored, turned

if TYPE_CHECKING:
    from pathlib import Path

GREY = (np.arange(20 * 30) % 251).reshape(20, 30).astype(np.uint8)
RNG = np.random.default_rng(0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path: Path, rows: bytes, size: tuple[int, int], depth: int, colour: int) -> Path:
    """Write a PNG of rows that are filtered already."""
    head = struct.pack(">IIBBBBB", size[1], size[0], depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    path.write_bytes(start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def agree(path: Path) -> Any:
    """Read an image, and see that its layout says what its pixels are."""
    plane, layout = read_single_plane(path), read_layout(path)
    assert (plane.shape, plane.dtype, plane.rgb) == (layout.shape, layout.dtype, layout.rgb)
    pixels = plane.read_all()
    assert pixels.shape[:2] == layout.shape[:2]
    return pixels


@pytest.mark.parametrize("axes", ["ZYX", "TZYX", "ZYXC", "ZCYX"])
def test_a_lazily_read_plane_is_an_array_of_its_shape(tmp_path: Path, axes: str) -> None:
    lengths = {"T": 2, "Z": 3, "C": 2, "Y": 30, "X": 40}
    shape = tuple(lengths[a] for a in axes)
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", data=data)
    about = {"axes": [{"name": a.lower()} for a in axes], "datasets": [{"path": "0"}]}
    group.attrs["multiscales"] = [about]
    plane = read_plane(tmp_path / "a.zarr", (1,) * sum(a in "TZ" for a in axes))
    assert not isinstance(plane.data, np.ndarray)
    expected = data[(1,) * sum(a in "TZ" for a in axes)]
    expected = np.moveaxis(expected, 0, -1) if axes == "ZCYX" else expected
    assert np.array_equal(plane.read_all(), expected)
    assert np.array_equal(np.asarray(plane.data), expected)
    assert np.array_equal(ImageSource(plane.data, rgb=plane.rgb).read_all().squeeze(), expected)


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_a_png_of_16_bits_a_channel_keeps_them(tmp_path: Path, samples: int) -> None:
    values = RNG.integers(0, 900, (20, 30, samples)).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path = png(tmp_path / "a.png", rows, (20, 30), 16, {2: 4, 3: 2, 4: 6}[samples])
    pixels = agree(path)
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, values[..., 0] if samples == 2 else values[..., :3])


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_ids_of_a_png_with_few_bits_are_not_stretched(tmp_path: Path, depth: int) -> None:
    ids = (np.arange(16 * 16).reshape(16, 16) // 5 % 2**depth).astype(np.uint8)
    bits = np.unpackbits(ids[..., None], axis=-1)[..., 8 - depth :].reshape(16, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    path = png(tmp_path / "a.png", rows, (16, 16), depth, 0)
    assert np.array_equal(read_labels(path), ids)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_inks_come_out_as_the_colours_that_a_viewer_shows(tmp_path: Path, name: str) -> None:
    black = np.tile(np.arange(0, 240, 8, np.uint8), (20, 1))
    inks = np.dstack([black * 0, black * 0, black * 0, black])
    Image.fromarray(inks, "CMYK").save(tmp_path / name, quality=100)
    shown = np.asarray(Image.open(tmp_path / name).convert("RGB"))
    pixels = agree(tmp_path / name)
    assert np.abs(pixels.astype(int) - shown).max() <= 1
    assert pixels.std() > 20


def test_luma_and_chroma_come_out_as_colours(tmp_path: Path) -> None:
    rgb = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
    Image.fromarray(rgb).convert("YCbCr").save(tmp_path / "a.tif", compression="tiff_lzw")
    shown = np.asarray(Image.open(tmp_path / "a.tif").convert("RGB"))
    assert np.array_equal(agree(tmp_path / "a.tif"), shown)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.tif"])
def test_of_indexed_pictures_images_have_colours_and_masks_indices(
    tmp_path: Path, name: str
) -> None:
    ids = GREY % 4
    picture = Image.fromarray(ids, "P")
    picture.putpalette([0, 0, 0, 250, 10, 20, 30, 240, 50, 60, 70, 230])
    picture.save(tmp_path / name)
    assert np.array_equal(read_labels(tmp_path / name), ids)
    pixels = agree(tmp_path / name)
    assert pixels.shape == (20, 30, 3)
    assert pixels[ids == 1].tolist()[0] == [250, 10, 20]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_a_tag_that_turns_a_picture_is_obeyed_and_said(
    tmp_path: Path, name: str, orientation: int
) -> None:
    picture = Image.fromarray(np.dstack([GREY] * 3))
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / name, exif=exif, **({} if name == "a.tif" else {"quality": 95}))
    with Image.open(tmp_path / name) as opened:
        from PIL import ImageOps

        shown = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(agree(tmp_path / name), shown)
    said = [text for text in read_plane(tmp_path / name).notices if "tag turns it" in text]
    assert len(said) == (orientation != 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_read_lazily_is_turned_as_what_is_read_whole(orientation: int) -> None:
    data = RNG.integers(0, 99, (3, 20, 30, 2)).astype(np.uint8)
    whole = turned(data, orientation, "ZYXC")
    lazy = Stored(os.devnull, data, "ZYXC", orientation)  # type: ignore[arg-type]
    assert lazy.shape == whole.shape
    for index in (
        np.s_[:, :, :, :],
        np.s_[1, 2:17:3, 5:19:4, 1],
        np.s_[0, 3, 4, :],
        np.s_[-1, 7, :, 0],
        np.s_[1],
        np.s_[..., 0],
        np.s_[:, 5:5, :],
        np.s_[::-1, 17:2:-3, ::-2, 1:],
    ):
        assert np.array_equal(lazy[index], whole[index])


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16])
@pytest.mark.parametrize("large", [False, True])
def test_where_0_is_white_it_is_read_as_white(
    tmp_path: Path, dtype: Any, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(header, "LAZY", 0)
    values = (GREY > 100).astype(dtype)
    stored = ~values
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    mask = read_mask(tmp_path / "a.tif")
    assert np.array_equal(mask.labels, values)
    assert any("0 is white" in text for text in mask.notices)
    assert np.array_equal(agree(tmp_path / "a.tif"), values)


@pytest.mark.parametrize("compression", ["lzw", "zstd", "jpeg2000", "packbits", "lzma", "webp"])
def test_compressions_are_read_everywhere(tmp_path: Path, compression: str) -> None:
    options: Any = {"photometric": "rgb"} if compression == "webp" else {}
    values = np.dstack([GREY] * 3) if options else GREY
    args = {"lossless": True} if compression == "webp" else None
    tifffile.imwrite(
        tmp_path / "a.tif", values, compression=compression, compressionargs=args, **options
    )
    assert np.array_equal(agree(tmp_path / "a.tif"), values)


def test_of_several_images_the_largest_is_used_and_the_others_are_named(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for at in range(3):
            file.write(np.full((64, 64), at, np.uint8), metadata={"axes": "YX", "Name": f"P{at}"})
    plane = read_plane(tmp_path / "a.ome.tif")
    assert plane.read_all().max() == 0
    assert any("3 images (P0, P1, P2); the first" in text for text in plane.notices)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(np.zeros((16, 16), np.uint8))
        file.write(np.ones((128, 96), np.uint8))
    plane = read_plane(tmp_path / "b.tif")
    assert plane.shape == (128, 96)
    assert any("the largest" in text for text in plane.notices)


def _partner(folder: Path, other: str) -> Path:
    u, v = uuid.uuid4(), uuid.uuid4()
    data = '<TiffData FirstC="{}" IFD="0" PlaneCount="1"><UUID FileName="{}">urn:uuid:{}</UUID>'
    data += "</TiffData>"
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns='
        f'"http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{u}"><Image '
        'ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="64" '
        'SizeY="64" SizeC="2" SizeZ="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<Channel ID="Channel:0:1" SamplesPerPixel="1"/>{data.format(0, other, v)}'
        f"{data.format(1, 'c0.ome.tif', u)}</Pixels></Image></OME>"
    )
    path = folder / "c0.ome.tif"
    tifffile.imwrite(path, np.full((64, 64), 9, np.uint8), description=xml.encode(), metadata=None)
    return path


def test_planes_whose_file_is_gone_are_an_error_and_not_zeros(tmp_path: Path) -> None:
    path = _partner(tmp_path, "c1.ome.tif")
    for read in (open_image, read_layout):
        with pytest.raises(ImageError, match="not there; put the other files"):
            read(path)


def test_a_file_names_no_file_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "c1.ome.tif", np.zeros((64, 64), np.uint8))
    with pytest.raises(ImageError, match="in another folder"):
        open_image(_partner(tmp_path / "in", "../c1.ome.tif"))


@pytest.mark.filterwarnings("ignore:.*are stored as RGB:DeprecationWarning")
@pytest.mark.parametrize("planes", [3, 4, 5])
def test_a_stack_of_few_planes_is_no_colour_picture(tmp_path: Path, planes: int) -> None:
    stack = RNG.integers(0, 255, (planes, 60, 70), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, compression="zlib")  # as napari saves layers
    assert open_image(tmp_path / "a.tif").stack_axes == [("Q", planes)]
    assert np.array_equal(read_plane(tmp_path / "a.tif", (2,)).read_all(), stack[2])
    labels = np.zeros((planes, 60, 70), np.uint8)
    labels[:, 9:30, 9:30] = 1  # alike on all planes, and so grey if they were colours
    tifffile.imwrite(tmp_path / "l.tif", labels, compression="zlib")
    with pytest.raises(ImageError, match=r"l\.tif is a stack \(Q 0 to "):
        read_labels(tmp_path / "l.tif")
    assert read_labels(tmp_path / "l.tif", (1,)).shape == (60, 70)


def test_colour_pictures_in_channels_are_chosen_by_plane_or_channel(tmp_path: Path) -> None:
    data = RNG.integers(0, 255, (2, 40, 50, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", metadata={"axes": "CYXS"})
    with pytest.raises(ImageError, match=r"stack \(C 0 to 1\); choose a plane, e\.g\. --plane 0"):
        read_plane(tmp_path / "a.tif")
    for plane in (read_plane(tmp_path / "a.tif", (1,)), read_plane(tmp_path / "a.tif", (), (1,))):
        assert plane.rgb
        assert np.array_equal(plane.read_all(), data[1])


def test_samples_that_are_no_colours_are_channels(tmp_path: Path) -> None:
    data = RNG.integers(0, 255, (40, 50, 3), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="minisblack", planarconfig="contig", metadata=None
    )
    assert not read_plane(tmp_path / "a.tif").rgb
    assert np.array_equal(agree(tmp_path / "a.tif"), data)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((9, 9), -1, np.int32), r"ids below 0 \(from -1\)"),
        (np.full((9, 9), 1 << 40, np.int64), "ids up to 1099511627776"),
        (np.full((9, 9), np.nan, np.float32), "not ids"),
        (np.full((9, 9), 1e300), "not ids"),
        (np.full((9, 9), 0.5, np.float32), "not ids"),
    ],
)
def test_what_can_be_no_id_is_refused(tmp_path: Path, values: Any, message: str) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ImageError, match=message):
        read_labels(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.jpg", "jpeg.png", "lossy.webp", "jpeg.tif"])
def test_ids_that_a_format_has_blurred_are_refused(tmp_path: Path, name: str) -> None:
    if name == "jpeg.tif":
        tifffile.imwrite(tmp_path / name, GREY, compression="jpeg")
    else:
        Image.fromarray(GREY).save(tmp_path / name, "webp" if "webp" in name else "jpeg")
    with pytest.raises(ImageError, match="blurs ids"):
        read_labels(tmp_path / name)


def test_what_is_in_a_file_decides_and_not_its_name(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.png", GREY)
    for name in ("a.tif", "a.jpg", "a.npy", "a"):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
        assert np.array_equal(agree(tmp_path / name), GREY)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.eps"])
def test_formats_that_are_not_listed_are_never_opened(
    tmp_path: Path, name: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker, tool = tmp_path / "was-run", tmp_path / "gs"
    tool.write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / name).write_bytes(content)
    for read in (open_image, read_layout, read_labels):
        with pytest.raises(ImageError, match="are read"):
            read(tmp_path / name)
    assert not marker.exists()


def test_a_pipe_or_device_or_impossible_name_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        for read in (open_image, read_layout, read_labels):
            with pytest.raises(ImageError, match="a pipe or a device"):
                read(tmp_path / name)
    for name in ("n\0.png", "n" * 300 + ".png", "none.png"):
        with pytest.raises(ImageError, match="There is no file"):
            open_image(tmp_path / name)


def test_a_picture_beyond_pillow_s_limit_opens(tmp_path: Path) -> None:
    side = 14_000
    deflate = zlib.compressobj(1)
    rows = b"".join(deflate.compress(b"\0" + b"\x28" * side) for _ in range(side))
    start = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    )
    path = tmp_path / "scan.png"
    path.write_bytes(start + chunk(b"IDAT", rows + deflate.flush()) + chunk(b"IEND", b""))
    assert read_layout(path).shape == (side, side)
    plane = read_plane(path)
    assert plane.shape == (side, side)
    assert plane.data[-1, -1] == 0x28


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("layout", ["grey", "planar", "contig", "bigtiff"])
def test_tiff_in_planes_and_in_either_order_of_bytes_is_the_same_image(
    tmp_path: Path,
    layout: Any,
    kind: Any,
    order: Any,
    large: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if large:
        monkeypatch.setattr(header, "LAZY", 0)
    colours = layout in ("planar", "contig")
    values = RNG.integers(0, 250, (34, 50, *((3,) if colours else ()))).astype(kind)
    stored = np.moveaxis(values, -1, 0) if layout == "planar" else values
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        byteorder=order,
        bigtiff=layout == "bigtiff",
        photometric="rgb" if colours else "minisblack",
        planarconfig={"planar": "separate", "contig": "contig"}.get(layout),
        tile=(16, 16),
        metadata=None,
    )
    pixels = agree(tmp_path / "a.tif")
    assert pixels.dtype == np.dtype(kind)
    assert pixels.dtype.isnative
    assert np.array_equal(pixels, values)
    assert read_plane(tmp_path / "a.tif").rgb == colours


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "raw.tif", "group4.tif", "a.pbm"])
def test_pictures_of_one_bit_are_black_and_white_as_viewers_show_them(
    tmp_path: Path, name: str
) -> None:
    picture = Image.fromarray(GREY > 100)
    assert picture.mode == "1"
    picture.save(tmp_path / name, **({"compression": "group4"} if "4" in name else {}))
    with Image.open(tmp_path / name) as opened:
        shown = np.asarray(opened.convert("L")) > 0
    assert np.array_equal(shown, GREY > 100)
    assert np.array_equal(agree(tmp_path / name) > 0, shown)
    assert np.array_equal(read_labels(tmp_path / name) > 0, shown)


@pytest.mark.parametrize("colours", [2, 4, 16, 200])
@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.tif", "a.bmp", "see-through.png"])
def test_palettes_of_any_size_come_out_as_colours(tmp_path: Path, name: str, colours: int) -> None:
    ids = GREY % colours
    picture = Image.fromarray(ids, "P")
    table = np.random.default_rng(1).integers(0, 255, (colours, 3), np.uint8)
    picture.putpalette(table.ravel().tolist())
    picture.save(tmp_path / name, **({"transparency": 0} if "through" in name else {}))
    with Image.open(tmp_path / name) as opened:
        shown = np.asarray(opened.convert("RGB"))
    assert np.array_equal(shown, table[ids])
    assert np.array_equal(agree(tmp_path / name), shown)
    assert np.array_equal(read_labels(tmp_path / name), ids)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_palette_of_16_bits_in_either_order_of_bytes_comes_out_as_colours(
    tmp_path: Path, order: Any
) -> None:
    table = RNG.integers(0, 65535, (3, 256), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", GREY, photometric="palette", colormap=table, byteorder=order
    )
    assert np.array_equal(agree(tmp_path / "a.tif"), (table.T[GREY] >> 8).astype(np.uint8))


@pytest.mark.parametrize("orientation", [6, 8])
def test_inks_and_greys_of_a_jpeg_are_turned_as_its_tag_says(
    tmp_path: Path, orientation: int
) -> None:
    from PIL import ImageOps

    for mode in ("CMYK", "L"):
        values = np.dstack([GREY // 2] * 4) if mode == "CMYK" else GREY
        picture = Image.fromarray(values, mode)
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
        with Image.open(tmp_path / "a.jpg") as opened:
            turned_as_shown = ImageOps.exif_transpose(opened)
            shown = np.asarray(turned_as_shown.convert("RGB" if mode == "CMYK" else "L"))
        assert np.abs(agree(tmp_path / "a.jpg").astype(int) - shown).max() <= 1
