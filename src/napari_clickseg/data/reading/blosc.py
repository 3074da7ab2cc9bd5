"""Zarr chunks that Blosc has packed: its library reads beyond what is broken, and ends the program.

What a chunk says of its own length is therefore looked at before it is unpacked.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore, WrapperStore

if TYPE_CHECKING:
    from pathlib import Path

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

_HEAD = 16  # bytes: four flags, then the lengths unpacked, of a block, and packed
_METADATA = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")


class CheckedStore(WrapperStore[LocalStore]):
    """A Zarr folder, to be read only, of which no broken Blosc chunk is unpacked.

    Chunks within a shard are not looked at.

    Parameters
    ----------
    store : LocalStore
        As of `of`.
    """

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self._largest: dict[str, int] = {}  # bytes of a chunk, by the folders of arrays

    @classmethod
    def of(cls, path: Path) -> CheckedStore:
        """Return the store of a folder."""
        return cls(LocalStore(path, read_only=True))

    def check(self, array: Any) -> None:
        """Look at the chunks of an array from now on, if Blosc has packed them."""
        if any("blosc" in type(one).__name__.lower() for one in array.compressors):
            size = array.dtype.itemsize
            for n in array.chunks:
                size *= n
            self._largest[f"{array.path}/" if array.path else ""] = size

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return what is kept under a key.

        Raises
        ------
        ValueError
            If it is a chunk whose lengths are not its own.
        """
        chunk = await super().get(key, prototype, byte_range)
        if chunk is None or byte_range is not None or PurePosixPath(key).name in _METADATA:
            return chunk
        for folder, largest in self._largest.items():
            if key.startswith(folder) and not _is_sound(chunk.to_bytes(), largest):
                raise ValueError(f"the chunk {key} is broken")
        return chunk


def _is_sound(chunk: bytes, largest: int) -> bool:
    """Whether a chunk is as long as it says, and becomes no longer than a chunk is."""
    unpacked, packed = (int.from_bytes(chunk[at : at + 4], "little") for at in (4, 12))
    return len(chunk) >= _HEAD and packed == len(chunk) and unpacked <= largest
