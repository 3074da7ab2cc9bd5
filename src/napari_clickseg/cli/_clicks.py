"""`clickseg clicks`: place the clicks that would correct predictions."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import add_verb, count, positive_count, progress, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from napari_clickseg.core.regions import ClickSpec, RegionClick
    from napari_clickseg.crossfit.folder import CrossfitFolder
    from napari_clickseg.data.project import Record

    BoolArray = npt.NDArray[np.bool_]

COLUMNS = ("image", "y", "x", "kind", "region")


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "clicks",
        run,
        "Place the clicks that would correct predictions.",
        "PROJECT is a folder with index.csv, or with the folders images and masks; PREDICTIONS "
        "holds a mask with the name of each image, of which all that is not 0 is foreground "
        "(but see --threshold), or is the folder of a cross-fitting. The kinds are fn and tp, "
        "where clicks are positive, and fp, where they are negative.",
    )
    option = parser.add_argument
    option("project", type=Path, metavar="PROJECT", help="images with the masks that are wanted")
    option("predictions", type=Path, metavar="PREDICTIONS", help="folder of predicted masks")
    option("--out", type=Path, required=True, metavar="F.csv", help=",".join(COLUMNS))
    option("--class", dest="id", type=positive_count, metavar="ID", help="only this id")
    option(
        "--threshold",
        type=float,
        metavar="T",
        help="predictions hold probabilities: from T on it is foreground; "
        "128 for those of a cross-fitting, which are times 255",
    )
    option("--anchors", action="store_true", help="click on what was found as well")
    option("--method", choices=("lloyd", "anneal"), default="lloyd", help="how they are spread")
    option("--seed", type=count, default=0, metavar="N", help="decides what is drawn at random")
    option("--overwrite", action="store_true", help="replace the file if it is there")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.core.regions import ClickSpec
    from napari_clickseg.crossfit.folder import crossfit_of
    from napari_clickseg.crossfit.truth import HALF
    from napari_clickseg.data.masks import check_free, read_labels
    from napari_clickseg.data.project import read_project
    from napari_clickseg.util.text import counted

    check_free(args.out, overwrite=args.overwrite)
    project = read_project(args.project)
    crossfit = crossfit_of(args.predictions)
    ids: tuple[int, ...] = () if args.id is None else (args.id,)
    threshold: float | None = args.threshold
    if crossfit is None:
        pairs = _pairs(project.records, args.predictions)
    else:
        pairs = _out_of_fold(project.records, crossfit)
        ids = ids or crossfit.spec.training.classes
        threshold = HALF if threshold is None else threshold
    ignore = project.classes.ignore if project.classes else None
    spec = ClickSpec(anchors=args.anchors, method=args.method)
    by_image = {}
    with progress(len(pairs), "image") as bar:
        for record, path in pairs:
            truth = read_labels(record.mask)
            by_image[record.name] = _clicks(
                record.name,
                _predicted(path, ids, threshold),
                _foreground(truth, ids),
                ignore=None if ignore is None else truth == ignore,
                spec=spec,
                seed=args.seed,
            )
            bar.update()
    args.out.write_text(_table(by_image), encoding="utf-8")
    placed, images = sum(map(len, by_image.values())), sum(map(bool, by_image.values()))
    say(f"{args.out}: {counted(placed, 'click')} on {images} of {counted(len(by_image), 'image')}")
    return 0


def _pairs(records: tuple[Record, ...], folder: Path) -> list[tuple[Record, Path]]:
    """Find the prediction of each image: the one file of its name, whatever its suffix."""
    from napari_clickseg.data.errors import ProjectError

    if not folder.is_dir():
        raise ProjectError(f"There is no folder {folder}.")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        files.setdefault(path.stem, []).append(path)
    named: dict[str, str] = {}
    for record in records:
        stem = record.image.stem
        if stem in named:
            raise ProjectError(
                f"{named[stem]} and {record.name} would have one prediction, {stem}; rename one."
            )
        named[stem] = record.name
        if len(ours := files.get(stem, [])) != 1:
            raise ProjectError(
                f"{folder} has {len(ours) or 'no'} predictions for {record.name}; put one there, "
                f"{stem}.png or {stem}.tif."
            )
    return [(record, files[record.image.stem][0]) for record in records]


def _out_of_fold(
    records: tuple[Record, ...], crossfit: CrossfitFolder
) -> list[tuple[Record, Path]]:
    """Find the prediction of each image that took part in a cross-fitting."""
    from napari_clickseg.data.errors import ProjectError

    known = {record.name: record for record in records}
    there = [row for row in crossfit.rows if row.image in known]
    if not there:
        raise ProjectError(f"{crossfit.path} is a cross-fitting of other images; give its project.")
    pairs = [(known[row.image], crossfit.predictions / row.prediction) for row in there]
    for record, path in pairs:
        if not path.exists():
            raise ProjectError(
                f"{crossfit.path} has no prediction of {record.name} yet; go on with it first."
            )
    return pairs


def _clicks(
    name: str,
    prediction: BoolArray,
    truth: BoolArray,
    *,
    ignore: BoolArray | None,
    spec: ClickSpec,
    seed: int,
) -> tuple[RegionClick, ...]:
    from napari_clickseg.core.regions import RegionError, place_clicks

    try:
        return place_clicks(prediction, truth, ignore=ignore, spec=spec, seed=seed)
    except RegionError as error:
        raise RegionError(f"{name}: {error}") from error


def _predicted(path: Path, ids: Sequence[int], threshold: float | None) -> BoolArray:
    """Read a predicted mask; with a threshold it is one of probabilities, whatever the ids."""
    from napari_clickseg.core.source import ImageError
    from napari_clickseg.data.images import read_plane
    from napari_clickseg.data.masks import read_labels

    if threshold is None:
        return _foreground(read_labels(path), ids)
    values = read_plane(path).read_all()
    if values.ndim != 2:
        raise ImageError(f"{path} holds colours, not probabilities; leave --threshold out.")
    return values >= threshold


def _foreground(labels: npt.NDArray[Any], ids: Sequence[int]) -> BoolArray:
    """Return where labels are one of the ids, or not 0 where there are none."""
    import numpy as np

    return np.isin(labels, ids) if ids else np.asarray(labels != 0)


def _table(by_image: dict[str, tuple[RegionClick, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, clicks in by_image.items():
        writer.writerows([name, one.y, one.x, one.kind, one.region] for one in clicks)
    return text.getvalue()
