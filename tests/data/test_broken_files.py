"""Files that are broken in any way, and small ones that promise much, are answered with a line."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numcodecs
import numpy as np
import pytest
import tifffile
import zarr

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import open_image, read_layout, read_plane
from napari_clickseg.data.masks import read_labels

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def mutate(kind: str, seed: int, count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.mutating", kind, str(seed), str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("images", 150),
        ("texts", 60),
        ("cards", 400),
        ("journals", 300),
        ("runs", 100),
        ("models", 30),
    ],
)
def test_whatever_is_broken_is_answered_in_a_line(kind: str, count: int) -> None:
    mutate(kind, 0, count)


def test_a_broken_zarr_is_answered_in_a_line() -> None:
    mutate("zarrs", 0, 25)


def test_a_chunk_that_lies_of_its_length_is_answered_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        path,
        shape=(32, 32),
        chunks=(16, 16),
        dtype="uint8",
        zarr_format=2,
        compressors=numcodecs.Blosc(),
    )
    array[:] = np.arange(1024, dtype=np.uint8).reshape(32, 32)
    assert read_plane(path).read_all().shape == (32, 32)
    chunk = path / "1.1"
    sound = chunk.read_bytes()
    for at in (4, 12):  # how long it is unpacked, and packed
        for length in (0, 1 << 30, 0xFFFFFFFF):
            if length or at == 12:
                chunk.write_bytes(sound[:at] + length.to_bytes(4, "little") + sound[at + 4 :])
                with pytest.raises(ImageError, match="broken"):
                    read_plane(path).read_all()
    chunk.write_bytes(sound[:10])
    with pytest.raises(ImageError, match="broken"):
        read_plane(path).read_all()


def tiff_of_strips_that_are_not_there(path: Path) -> Path:
    tifffile.imwrite(path, np.zeros((16, 50), np.uint8), metadata=None, rowsperstrip=40)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags[257].overwrite(16_777_000)
        file.pages[0].tags[278].overwrite(40)
    return path


def test_a_tiff_that_does_not_say_where_its_pixels_are_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((16, 16), np.uint8), metadata=None)
    data = path.read_bytes()
    for code in (273, 279):  # where the strips are, and how long
        assert data.count(code.to_bytes(2, "little")) == 1
        data = data.replace(code.to_bytes(2, "little"), (65000 + code % 2).to_bytes(2, "little"))
    path.write_bytes(data)
    for read in (read_labels, read_layout, lambda path: read_plane(path).read_all()):
        with pytest.raises(ImageError, match="does not say where its pixels are"):
            read(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("images", 10_000),
        ("texts", 10_000),
        ("cards", 10_000),
        ("zarrs", 2_000),
        ("journals", 10_000),
        ("runs", 10_000),
        ("models", 2_000),
    ],
)
def test_whatever_of_thousands_is_broken_is_answered_in_a_line(kind: str, count: int) -> None:
    mutate(kind, 1, count)


def ome_of_many_planes(path: Path) -> Path:
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="16" '
        'SizeY="16" SizeC="1" SizeZ="1" SizeT="1000000000"><TiffData/></Pixels></Image></OME>'
    )
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), description=xml, metadata=None)
    return path


def wide_zarr(path: Path) -> Path:
    zarr.create_array(path, shape=(1_000_000, 1_000_000), chunks=(512, 512), dtype="uint8")
    return path


def crumbled_zarr(path: Path) -> Path:
    zarr.create_array(path, shape=(100_000, 100_000), chunks=(1, 1), dtype="uint8")
    return path


def zarr_in_one_piece(path: Path) -> Path:
    zarr.create_array(path, shape=(100_000, 100_000), chunks=(100_000, 100_000), dtype="uint8")
    return path


def tiff_in_one_piece(path: Path) -> Path:
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in (256, 257, 278):
            file.pages[0].tags[tag].overwrite(60_000)
    return path


def png_of_much(path: Path) -> Path:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", sum_)

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    path.write_bytes(start + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (ome_of_many_planes, ".ome.tif"),
        (wide_zarr, ".zarr"),
        (crumbled_zarr, ".zarr"),
        (zarr_in_one_piece, ".zarr"),
        (tiff_in_one_piece, ".tif"),
        (tiff_of_strips_that_are_not_there, ".tif"),
        (png_of_much, ".png"),
    ],
)
def test_small_files_that_promise_much_are_refused_at_once(
    tmp_path: Path, make: Callable[[Path], Path], suffix: str
) -> None:
    import tracemalloc

    path = make(tmp_path / f"a{suffix}")
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(ImageError) as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ImageError):
        read_plane(path).read_all()
    if make is not wide_zarr:  # of which windows can be read
        for read in (read_layout, open_image):
            with pytest.raises(ImageError):
                read(path)
    taken = time.process_time() - began
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 5
    assert most < 256 * 1024**2
