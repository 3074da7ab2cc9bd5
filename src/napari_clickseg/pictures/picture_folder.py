"""From an album to a folder of pictures, with a page that shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.names import record_name, safe_name
from napari_clickseg.pictures.albums import PicturesError
from napari_clickseg.pictures.animation import check_animation, write_animation
from napari_clickseg.pictures.drawn_image import Canvas, captioned, contoured, limits_of, widest
from napari_clickseg.pictures.outcomes import PixelOutcome, figures_of, outcomes
from napari_clickseg.pictures.panels import draw_panels, draw_probability
from napari_clickseg.training.tables import markdown, write_table
from napari_clickseg.util.files import write_whole
from napari_clickseg.util.pages import write_report_files
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.core.intensity import Intensity
    from napari_clickseg.pictures.albums import Album, Entry
    from napari_clickseg.pictures.animation import AnimationKind
    from napari_clickseg.pictures.pictured_image import PicturedImage, PredictedLabels

_MOST, _MOST_MOVING = 1200, 640  # pixels of the long side of a picture, and of a frame
_FRAMES = 400  # of an animation, which is held in memory
_MEASURED = 5  # images of a group from which its black and white are measured


@dataclass(slots=True)
class Pictures:
    """What was drawn.

    Parameters
    ----------
    page : Path
        The report that shows all of it.
    rows : list of dict
        A row for each image: "image", and the figures that are known.
    animations : list of str
        Names of their files.
    problems : dict of str to str
        Why images could not be drawn, by name.
    """

    page: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    animations: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def write_pictures(
    album: Album,
    out: Path,
    *,
    animation: AnimationKind = "gif",
    fps: float = 4.0,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> Pictures:
    """Draw an album into a folder.

    For each image its contours (`overlays/`), it beside truth and prediction (`panels/`), and its
    probability where that is known (`probabilities/`); of each group of several images of one size
    an animation; `figures.csv`, and a page, `report.html`, that shows all.

    Parameters
    ----------
    album : Album
        What is drawn.
    out : Path
        A folder that is new or empty.
    animation : {"gif", "mp4", "none"}
        Of groups of images.
    fps : float
        Frames for a second.
    progress : callable
        Called with how many images are done, and how many there are. What it raises ends the work;
        the pictures that are drawn by then stay.

    Raises
    ------
    PicturesError
        If the folder holds something, can't be written to, or nothing could be drawn.
    AnimationError
        If animations of that kind can't be written here.
    """
    check_animation(animation)
    try:
        if out.is_file() or (out.is_dir() and any(out.iterdir())):
            raise PicturesError(f"{out} is not an empty folder; choose another one.")
        out.mkdir(parents=True, exist_ok=True)
        return _Drawing(album, out, animation, fps).draw(progress)
    except OSError as error:
        raise PicturesError(
            f"Pictures can't be written to {out} ({error.strerror or error}); make room there, or "
            "choose another folder."
        ) from error


class _Drawing:
    def __init__(self, album: Album, out: Path, animation: AnimationKind, fps: float) -> None:
        self._album, self._out = album, out
        self._animation, self._fps = animation, fps
        self._made = Pictures(out / "report.html")
        self._lines: list[str] = []
        self._frames: dict[str, list[npt.NDArray[np.uint8]]] = {}
        self._limits: dict[str, Intensity] = {}
        self._names: set[str] = set()
        self._ends = {
            group: [one.name for one in album.entries if one.group == group][-1]
            for group in album.grouped
        }

    def draw(self, progress: Callable[[int, int], object]) -> Pictures:
        made, entries = self._made, self._album.entries
        for at, entry in enumerate(entries):
            progress(at, len(entries))
            try:
                self._one(entry)
            except (ImageError, MemoryError) as error:
                made.problems[entry.name] = str(error) or "it does not fit into memory"
            if self._ends.get(entry.group) == entry.name:
                self._animate(entry.group)
        if not made.rows:
            why = next(iter(made.problems.values()), "nothing was found to draw")
            raise PicturesError(f"No image could be drawn: {why}")
        names = dict.fromkeys(name for row in made.rows for name in row)
        write_table(
            self._out / "figures.csv", [{n: r.get(n, "") for n in names} for r in made.rows]
        )
        self._page()
        progress(len(entries), len(entries))
        return made

    def _one(self, entry: Entry) -> None:
        subject = self._album.subject(entry)
        answer = self._album.find(subject)
        if answer is None:
            return
        shape = subject.plane.shape[:2]
        for what, values in (("truth", subject.truth), ("prediction", answer.labels)):
            if values is not None and values.shape != shape:
                raise ImageError(
                    f"The {what} of {entry.name} has {values.shape[0]} × {values.shape[1]} pixels, "
                    f"the image {shape[0]} × {shape[1]}."
                )
        figures = {}
        if subject.truth is not None:
            album = self._album
            figures = figures_of(
                answer.labels, subject.truth, subject.ignore,
                by_class=album.by_class, by_object=album.by_object,
            )  # fmt: skip
        self._draw(entry, subject, answer, figures)
        row = {"image": entry.name} | {name: round(v, 4) for name, v in figures.items()}
        self._made.rows.append(row)

    def _draw(
        self,
        entry: Entry,
        subject: PicturedImage,
        answer: PredictedLabels,
        figures: dict[str, float],
    ) -> None:
        stem, title = self._stem(entry.name), _title(entry.name, figures)
        known = outcomes(
            answer.labels, subject.truth, subject.ignore, by_class=self._album.by_class
        )
        kinds = [PixelOutcome(int(one)) for one in np.unique(known)]
        canvas = Canvas((subject.plane.shape[0], subject.plane.shape[1]), _MOST)
        picture = canvas.image(subject.plane, self._intensity(entry, subject))
        labels, drawn = canvas.drawn(answer.labels), canvas.drawn(known)
        overlay = captioned(contoured(picture, drawn, labels), title, widest(kinds))
        self._write(f"overlays/{stem}.png", lambda path: _save(path, overlay))
        truth = None if subject.truth is None else canvas.drawn(subject.truth)
        likely = None if answer.probability is None else canvas.drawn(answer.probability)
        self._write(
            f"panels/{stem}.png",
            lambda path: draw_panels(path, picture, truth, labels, likely, title),
        )
        if likely is not None:
            self._write(
                f"probabilities/{stem}.png", lambda path: draw_probability(path, likely, entry.name)
            )
        self._lines += [f"### `{entry.name}`", "", _image("Contours", f"overlays/{stem}.png"), "",
                        _image("Side by side", f"panels/{stem}.png"), ""]  # fmt: skip
        if self._animation != "none" and entry.group in self._ends:
            self._keep_frame(entry, subject, known, answer, title, kinds)

    def _keep_frame(
        self,
        entry: Entry,
        subject: PicturedImage,
        known: npt.NDArray[np.uint8],
        answer: PredictedLabels,
        title: str,
        kinds: Sequence[PixelOutcome],
    ) -> None:
        frames = self._frames.setdefault(entry.group, [])
        canvas = Canvas((subject.plane.shape[0], subject.plane.shape[1]), _MOST_MOVING)
        picture = canvas.image(subject.plane, self._intensity(entry, subject))
        drawn = contoured(picture, canvas.drawn(known), canvas.drawn(answer.labels))
        frame = captioned(drawn, title, widest(kinds))
        if len(frames) < _FRAMES and (not frames or frame.shape == frames[0].shape):
            frames.append(frame)

    def _animate(self, group: str) -> None:
        frames = self._frames.pop(group, [])
        if len(frames) < 2:
            return
        name = f"{self._stem(group)}.{self._animation}"
        self._write(name, lambda path: write_animation(path, frames, self._fps))
        self._made.animations.append(name)

    def _intensity(self, entry: Entry, subject: PicturedImage) -> Intensity:
        """Return what is black and white; the same in all images of a group that are alike."""
        if entry.group not in self._ends:
            return limits_of([subject.plane])
        if entry.group not in self._limits:
            self._limits[entry.group] = self._measured(entry.group, subject)
        known = self._limits[entry.group]
        own = limits_of([subject.plane])
        return known if len(known.low) == len(own.low) else own

    def _measured(self, group: str, subject: PicturedImage) -> Intensity:
        from napari_clickseg.data.images import read_single_plane

        members = [one for one in self._album.entries if one.group == group]
        some = members[:: -(-len(members) // _MEASURED)]
        planes, channels = [subject.plane], len(limits_of([subject.plane]).low)
        for one in some:
            try:
                plane = read_single_plane(one.image)
                if len(limits_of([plane]).low) == channels:
                    planes.append(plane)
            except ImageError:
                continue  # which is said when it is its turn
        return limits_of(planes)

    def _stem(self, name: str) -> str:
        """Return a name for files that no other image has."""
        stem = free = safe_name(record_name(name))
        number = 1
        while free.lower() in self._names:
            number += 1
            free = f"{stem}-{number}"
        self._names.add(free.lower())
        return free

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        path = self._out / name
        path.parent.mkdir(exist_ok=True)
        write_whole(path, write)

    def _page(self) -> None:
        made, album = self._made, self._album
        heads = list(dict.fromkeys(name for row in made.rows for name in row))
        last = heads[-1]
        ordered = sorted(made.rows, key=lambda row: float(row[last]) if last in row else 2.0)
        parts = [
            f"# {album.title}",
            f"{counted(len(made.rows), 'image')}; found by {album.predictor}.",
        ]
        if album.by_object and "F1" in heads:
            parts.append("F1 is of objects, at an IoU of a half; IoU and Dice are of all pixels.")
        if len(heads) > 1:
            rows = [[str(row.get(name, "")) for name in heads] for row in ordered]
            parts += ["## Figures, the worst first", markdown(heads, rows)]
        parts += [_image("Animation", name) for name in made.animations]
        parts += ["## Images", "\n".join(self._lines)]
        if made.problems:
            lines = "\n".join(f"- {name}: {why}" for name, why in made.problems.items())
            parts += ["## Not drawn", lines]
        write_report_files(self._out / "report.md", "\n\n".join(parts) + "\n")


def _title(name: str, figures: dict[str, float]) -> str:
    said = "  ".join(f"{what} {value:.2f}" for what, value in figures.items())
    return f"{name}   {said}" if said else name


def _save(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    import imageio.v3 as iio

    iio.imwrite(path, picture)


def _image(text: str, name: str) -> str:
    """Return Markdown that shows a file of this folder; of a film, that leads to it."""
    shown = "" if name.endswith(".mp4") else "!"
    return f"{shown}[{text}]({quote(name)})"
