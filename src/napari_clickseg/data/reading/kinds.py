"""Formats that packages of their own read, known by what is in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.data.reading.header import Header

    Reader = Callable[..., Header]

START = 352  # bytes of a file that `reader_of` looks at
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_DICOM = b"DICM"
_BARE_DICOM = (b"\x02\0", b"\x08\0", b"\0\x08")  # groups of entries with which it begins
_CZI = b"ZISRAWFILE"
_ND2 = b"\xda\xce\xbe\x0a"
_JPEG2000 = b"\0\0\0\x0cjP  "  # in which the oldest ND2 are kept, and other pictures, too
_LIF = b"\x70\0\0\0"
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # a file system of Microsoft's, which OIB uses
_SETTINGS = (b"\xff\xfe[\0", b"[")  # texts in sections
_GZIP = b"\x1f\x8b"
_NIFTI = {(348, 344, b"n+1\0"), (540, 4, b"n+2\0")}  # length of the header, where its magic is


def reader_of(path: Path, start: bytes) -> Reader | None:
    """Return what reads a file of a format of a microscope or scanner; None if it is another.

    Parameters
    ----------
    path : Path
        Of the file. Only where the beginning could be of several formats its name counts.
    start : bytes
        The first `START` bytes.

    Returns
    -------
    callable or None
        Takes the path, and by name `ids` and `scene`, as `data.images.read_header` does.
    """
    from napari_clickseg.data.reading import dicom, microscopes, nifti

    suffix = path.suffix.lower()
    if is_dicom(start) or (suffix in DICOM_SUFFIXES and start[:2] in _BARE_DICOM):
        return dicom.read_dicom
    if start.startswith(_CZI):
        return microscopes.read_czi
    if start.startswith(_ND2) or (suffix == ".nd2" and start.startswith(_JPEG2000)):
        return microscopes.read_nd2
    if start.startswith(_LIF) and start[8:9] == b"\x2a":
        return microscopes.read_lif
    if start.startswith(_COMPOUND) or (suffix == ".oif" and start.startswith(_SETTINGS)):
        return microscopes.read_oif
    packed = start.startswith(_GZIP) and path.name.lower().endswith(".nii.gz")
    return nifti.read_nifti if packed or _is_nifti(start) else None


def is_dicom(start: bytes) -> bool:
    """Whether a file that begins so is DICOM, in the standard's form."""
    return start[128:132] == _DICOM


def _is_nifti(start: bytes) -> bool:
    lengths = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    return any(
        length in lengths and start[at : at + len(magic)] == magic for length, at, magic in _NIFTI
    )
