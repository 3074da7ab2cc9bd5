"""Pictures one after another: as a GIF, or as MP4 with imageio-ffmpeg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AnimationKind = Literal["gif", "mp4", "none"]


class AnimationError(ValueError):
    """An animation that can't be written; the message says what to do."""


def check_animation(kind: AnimationKind) -> None:
    """See that an animation of a kind can be written, before anything is drawn.

    Raises
    ------
    AnimationError
        If imageio-ffmpeg is missing.
    """
    if kind != "mp4":
        return
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise AnimationError(
            "MP4 needs imageio-ffmpeg; install it with pip install 'napari-clickseg[video]', or "
            "write a GIF."
        ) from error


def write_animation(path: Path, frames: Sequence[npt.NDArray[np.uint8]], fps: float) -> None:
    """Write frames as an animation that goes on and on (GIF), or plays once (MP4).

    Parameters
    ----------
    path : Path
        Ends in .gif or .mp4; replaced if it is there.
    frames : sequence of uint8 (Y, X, 3)
        Of one size, one at least.
    fps : float
        Frames for a second.
    """
    import imageio.v3 as iio

    if path.suffix == ".gif":
        iio.imwrite(path, list(frames), duration=1000 / fps, loop=0)
        return
    # Players want an even number of pixels, and colours that are halved along both sides.
    even = [np.pad(one, ((0, one.shape[0] % 2), (0, one.shape[1] % 2), (0, 0))) for one in frames]
    iio.imwrite(
        path, even, plugin="FFMPEG", fps=fps, codec="libx264", pixelformat="yuv420p",
        macro_block_size=2,
    )  # fmt: skip
