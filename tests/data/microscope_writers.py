"""Files as microscopes write them, made of what their formats ask for.

No file of a microscope is at hand; the CZI are written by the maker's own library.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (3, 2, 40, 60)  # Z, C, Y, X
LUTS = ("Green", "Red")
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
        names = {0: "DAPI", 1: "FITC"}
        file.write_metadata("a", names, scale_x=0.5e-6, scale_y=0.25e-6, scale_z=2e-6)
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
            f'NameOfMeasuredQuantity="" Unit="" LUTName="{LUTS[c % 2]}" IsLUTInverted="0" '
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


_END, _FREE, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF
_SECTOR, _SMALL = 512, 4096  # bytes; a shorter stream would be kept in another way


def write_oib(path: Path, data: np.ndarray = DATA) -> Path:
    """Write the files of an OIF as streams of one file, the planes in a storage of their own."""
    oif = write_oif(path.with_name("s.oif"), data)
    planes = sorted(oif.with_name("s.oif.files").iterdir())
    info = '[OibSaveInfo]\r\nName="s.oib"\r\nVersion="2.0.0.0"\r\nMainFileName="Stream00000"\r\n'
    info += 'Stream00000="s.oif"\r\nStorage00001="s.oif.files"\r\n'
    for at, plane in enumerate(planes, 1):
        info += f'Stream{at:05d}="Storage00001/{plane.name}"\r\n'
    streams = {
        "OibInfo.txt": b"\xff\xfe" + info.encode("utf-16-le"),
        "Stream00000": oif.read_bytes(),
    }
    lines = b"\r\0\n\0" * (_SMALL // 4)  # which say nothing
    streams = {name: text + lines for name, text in streams.items()}
    inner = {f"Stream{at:05d}": plane.read_bytes() for at, plane in enumerate(planes, 1)}
    path.write_bytes(_compound(streams, {"Storage00001": inner}))
    for used in (*planes, oif):
        used.unlink()
    oif.with_name("s.oif.files").rmdir()
    return path


def _compound(streams: dict[str, bytes], storages: dict[str, dict[str, bytes]]) -> bytes:
    """Return a compound file of Microsoft's, version 3 (MS-CFB), without short streams."""
    body, chains, entries = b"", [], []

    def add(content: bytes) -> int:
        nonlocal body
        start, count = len(body) // _SECTOR, -(-len(content) // _SECTOR)
        body += content.ljust(count * _SECTOR, b"\0")
        chains.extend([*range(start + 1, start + count), _END])
        return start

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        text = name.encode("utf-16-le")
        return text.ljust(64, b"\0") + struct.pack(
            "<HBBIII16sIQQIQ",
            len(text) + 2,
            kind,
            1,
            _NONE,
            right,
            child,
            b"",
            0,
            0,
            0,
            start,
            size,
        )

    def add_all(folder: dict[str, Any]) -> int:
        """List a folder as a chain of siblings, by length and name; return its first entry."""
        first = len(entries)
        names = sorted(folder, key=lambda name: (len(name), name.upper()))
        entries.extend(b"" for _ in names)
        for at, name in enumerate(names, first):
            right = at + 1 if at + 1 < first + len(names) else _NONE
            inside = folder[name]
            if isinstance(inside, dict):
                entries[at] = entry(name, 1, right, add_all(inside), 0, 0)
            else:
                assert len(inside) >= _SMALL
                entries[at] = entry(name, 2, right, _NONE, add(inside), len(inside))
        return first

    entries.append(b"")
    entries[0] = entry("Root Entry", 5, _NONE, add_all({**streams, **storages}), _END, 0)
    while len(entries) % 4:
        entries.append(entry("", 0, _NONE, _NONE, 0, 0)[:-8] + bytes(8))
    directory = add(b"".join(entries))
    used = len(body) // _SECTOR
    count = next(n for n in range(1, 110) if n * _SECTOR // 4 >= used + n)
    table = [*chains, *([_FAT] * count)]
    table += [_FREE] * (count * _SECTOR // 4 - len(table))
    where = [*range(used, used + count), *([_FREE] * (109 - count))]
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + struct.pack(
        "<16sHHHHHHIIIIIIIIII109I", b"", 0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0, count, directory, 0,
        _SMALL, _END, 0, _END, 0, *where,
    )  # fmt: skip
    return head + body + struct.pack(f"<{len(table)}I", *table)
