"""What microscopes write is read as any other image: planes, channels, scenes, size of pixels.

The CZI are written by the maker's own library. LIF, OIF and ND2 are made here, of what their
formats ask for; no file of a microscope is at hand.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import open_image, read_layout, read_plane, read_single_plane
from napari_clickseg.data.pixel_size import PixelSize, read_pixel_size
from napari_clickseg.data.reading import microscopes

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (3, 2, 40, 60)  # Z, C, Y, X
DATA = np.random.default_rng(0).integers(0, 60_000, SHAPE).astype(np.uint16)


def write_czi(path: Path, data: np.ndarray = DATA, scenes: int = 1) -> Path:
    """Write a stack (Z, C, Y, X), or (Z, C, Y, X, 3); scene s is brighter by s."""
    from pylibCZIrw import czi

    with czi.create_czi(str(path)) as file:
        for scene in range(scenes):
            for z, c in np.ndindex(data.shape[:2]):
                values = data[z, c] + scene
                values = values[..., ::-1] if values.ndim == 3 else values[..., None]
                file.write(
                    data=np.ascontiguousarray(values, data.dtype),
                    location=(scene * 500 - 7, 13),
                    plane={"Z": z, "C": c, "T": 0},
                    **({"scene": scene} if scenes > 1 else {}),
                )
        file.write_metadata(document_name="a", scale_x=0.5e-6, scale_y=0.25e-6, scale_z=2e-6)
    return path


def write_lif(path: Path, images: dict[str, np.ndarray]) -> Path:
    """Write stacks (Z, C, Y, X) of 16 bits, with pixels of 0.25 × 0.5 µm 2 µm apart."""
    elements, blocks = [], []
    for at, (name, data) in enumerate(images.items()):
        n_z, n_c, n_y, n_x = data.shape
        steps = ((1, n_x, 0.5, 2), (2, n_y, 0.25, 2 * n_x), (3, n_z, 2.0, 2 * n_x * n_y * n_c))
        dims = "".join(
            f'<DimensionDescription DimID="{kind}" NumberOfElements="{n}" Origin="0" '
            f'Length="{(n - 1) * step * 1e-6}" Unit="m" BitInc="0" BytesInc="{inc}"/>'
            for kind, n, step, inc in steps
        )
        channels = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" Min="0" Max="65535" '
            f'NameOfMeasuredQuantity="" Unit="" LUTName="Gray" IsLUTInverted="0" '
            f'BytesInc="{c * 2 * n_x * n_y}" BitInc="0"/>'
            for c in range(n_c)
        )
        elements.append(
            f'<Element Name="{name}" Visibility="1" UniqueID="{at}"><Data><Image><ImageDescription>'
            f"<Channels>{channels}</Channels><Dimensions>{dims}</Dimensions></ImageDescription>"
            f'</Image></Data><Memory Size="{data.nbytes}" MemoryBlockID="MemBlock_{at}"/></Element>'
        )
        block = f"MemBlock_{at}".encode("utf-16-le")
        head = struct.pack("<BQBI", 0x2A, data.nbytes, 0x2A, len(block) // 2) + block
        blocks.append(struct.pack("<II", 0x70, len(head)) + head + data.astype("<u2").tobytes())
    text = (
        '<LMSDataContainerHeader Version="2"><Element Name="a" Visibility="1"><Children>'
        f"{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = struct.pack("<BI", 0x2A, len(text) // 2) + text
    path.write_bytes(struct.pack("<II", 0x70, len(head)) + head + b"".join(blocks))
    return path


def write_oif(path: Path, data: np.ndarray = DATA) -> Path:
    """Write a stack as a text, and a folder with a TIFF for each plane."""
    folder = path.with_name(f"{path.name}.files")
    folder.mkdir()
    for z, c in np.ndindex(data.shape[:2]):
        name = f"s_C{c + 1:03d}Z{z + 1:03d}.tif"
        tifffile.imwrite(folder / name, data[z, c], photometric="minisblack", metadata=None)
    axes = [("X", 60, 30.0, "um"), ("Y", 40, 10.0, "um"), ("C", 2, 0.0, ""), ("Z", 3, 4e3, "nm")]
    text = '[ProfileSaveInfo]\r\nName="FV"\r\nVersion="2"\r\n'
    text += "[Axis Parameter Common]\r\nAxisOrder=XYCZ\r\n"
    for at, (axis, n, end, unit) in enumerate(axes):
        text += (
            f'[Axis {at} Parameters Common]\r\nAxisCode="{axis}"\r\nMaxSize={n}\r\n'
            f'StartPosition=0.0\r\nEndPosition={end}\r\nUnitName="{unit}"\r\n'
        )
    path.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    return path


_ND2 = 0x0ABECEDA  # before each piece of a file
_PROBE = {
    f"m_{kind}Spectrum": {
        "uiCount": 1, "pPoint": {"Point0": {"eType": 1, "dWavelength": at, "dTValue": 1.0}},
    }
    for kind, at in (("Excitation", 488.0), ("Emission", 520.0))
}  # fmt: skip


def _variant(tag: str, value: Any) -> str:
    """Return a value as ND2 keeps it in XML."""
    if isinstance(value, dict):
        inside = "".join(_variant(*item) for item in value.items())
        return f'<{tag} runtype="CLxListVariant">{inside}</{tag}>'
    kinds = {bool: "bool", int: "lx_uint32", float: "double", str: "CLxStringW"}
    text = str(value).lower() if isinstance(value, bool) else value
    return f'<{tag} runtype="{kinds[type(value)]}" value="{text}"/>'


def write_nd2(path: Path, data: np.ndarray, *, calibrated: bool = True) -> Path:
    """Write a plane (C, Y, X) of 16 bits, with pixels of 0.25 µm."""
    n_c, n_y, n_x = data.shape
    signature = b"ND2 FILE SIGNATURE CHUNK NAME01!" + b"Ver3.0".ljust(64, b"\0")
    out = bytearray(struct.pack("<IIQ", _ND2, 32, 64) + signature)
    where = {}

    def add(name: str, content: bytes | dict[str, Any]) -> None:
        if isinstance(content, dict):
            content = f"<variant>{_variant('no_name', content)}</variant>".encode()
        where[name] = len(out), len(content)
        head = struct.pack("<IIQ", _ND2, 4072, len(content))
        out.extend(head + name.encode().ljust(4072, b"\0") + content)

    about = {
        "uiWidth": n_x, "uiHeight": n_y, "uiWidthBytes": 2 * n_x * n_c, "uiComp": n_c,
        "uiBpcInMemory": 16, "uiBpcSignificant": 16, "uiSequenceCount": 1, "eCompression": 2,
    }  # fmt: skip
    plane = {"uiCompCount": 1, "uiSampleIndex": 0, "pFluorescentProbe": _PROBE}
    planes = {
        "uiCount": n_c, "uiSampleCount": 1, "sPlaneNew": {f"a{c}": plane for c in range(n_c)},
        "sSampleSetting": {"a0": {}},
    }  # fmt: skip
    size = {"dCalibration": 0.25, "bCalibrated": calibrated, "dAspect": 1.0}
    add("ImageAttributesLV!", {"SLxImageAttributes": about})
    add("ImageMetadataSeqLV|0!", {"SLxPictureMetadata": {**size, "sPicturePlanes": planes}})
    add("ImageDataSeq|0!", struct.pack("<d", 0) + np.moveaxis(data, 0, -1).tobytes())
    at, name = len(out), b"ND2 FILEMAP SIGNATURE NAME 0001!"
    listed = b"".join(key.encode() + struct.pack("<QQ", *each) for key, each in where.items())
    listed += b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", at)
    out.extend(struct.pack("<IIQ", _ND2, len(name), len(listed)) + name + listed)
    path.write_bytes(bytes(out))
    return path


WRITERS = {
    "a.czi": write_czi,
    "a.lif": lambda path: write_lif(path, {"one": DATA}),
    "a.oif": write_oif,
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
    found = read_pixel_size(path)
    assert found is not None
    assert (found.y, found.x, found.z) == pytest.approx((0.25, 0.5, 2.0))
    assert found.unit == "µm"


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
    found = tifffile.imread(tmp_path / "m.tif") > 0
    assert (found & (data[1, 1] > 0)).sum() / (found | (data[1, 1] > 0)).sum() > 0.8
