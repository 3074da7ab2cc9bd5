"""Make the bundled model that finds nuclei and cells, from open sets and generated crowds.

    python -m default_model.nuclei DATA/train --out RUN [--spec default_model/nuclei.json]
    python -m default_model.nuclei DATA/train --out RUN --measure [--model MODEL] [--dev DATA/dev]
    python -m default_model.nuclei DATA/train --out RUN --publish

DATA/train is a folder of project folders. The first command writes RUN/project and trains RUN/run;
a run that was stopped goes on. Groups are held out of each set: `test` is never learned from.
`--measure` finds the objects of the held-out images, and of two sets for measuring only, by the
model and classically, prints a table and keeps it in RUN/figures.json. `--publish` makes the
model the bundled one, in half precision, with those figures in its card.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.filters import threshold_otsu
from skimage.transform import resize

from benchmarks.crowded import classical
from default_model.crowds import crowd, rendered
from default_model.publish_default import BUNDLED, bundle
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import Record, read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.engine.finding import ObjectFinder
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.evaluation.matching import Matching, match
from napari_clickseg.models.card import DataSource
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.training.finetune import finetune, resume
from napari_clickseg.training.spec import read_spec

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_clickseg.models.card import ModelCard

SPEC = Path(__file__).parent / "nuclei.json"
LIMIT = 8 * 2**20  # bytes
CROWDS, CROWD_SIDE = 160, 256
DEV = ("he_nuclei", "wbc")  # sets that are for measuring only
LIMITS = (
    "Seen to work on nuclei in fluorescence, in bright field and in H&E, on embryos in a dish, and "
    "on generated crowds. Cells in phase contrast were learned from one cell an image only. It "
    "tells no kinds of cells from each other (in smears of blood it finds the red ones too), and "
    "fails on whole cells that fill the image. Train on a dozen images of your own where it does."
)


@dataclass(frozen=True)
class Source:
    """A set to learn from.

    Parameters
    ----------
    name : str
        Of its folder.
    complete : bool
        Whether every object of its images is labelled.
    licence, citation : str
        As its page says them.
    resized : int
        Copies in other sizes, as its objects are all much alike.
    """

    name: str
    licence: str
    citation: str
    complete: bool = True
    resized: int = 1


SOURCES = (
    Source("dsb2018", "CC0", "Caicedo et al., Nature Methods 2019"),
    Source("tnbc_nuclei", "CC BY 4.0", "Naylor et al., IEEE TMI 2018, zenodo.org/records/2579118"),
    Source("embryos", "CC BY 4.0", "github.com/risingmin/embryo_model_train"),
    Source(
        "bubil_phase",
        "BSD with four clauses (Boston University 2014)",
        "Gurari et al., WACV 2015",
        complete=False,
        resized=0,
    ),
)


def held_out(groups: list[str], seed: int) -> dict[str, str]:
    """Return the split of each group: a fifth to test on, a tenth to validate on.

    Parameters
    ----------
    groups : list of str
        Of the images of a set.
    seed : int
        Decides which.
    """
    names = [str(one) for one in np.random.default_rng(seed).permutation(sorted(set(groups)))]
    test = max(1, round(len(names) / 5)) if len(names) > 2 else 0
    validation = max(1, round(len(names) / 10)) if len(names) > 3 else 0
    words = ["test"] * test + ["validation"] * validation
    words += ["training"] * (len(names) - len(words))
    return dict(zip(names, words, strict=True))


def write_project(data: Path, folder: Path, seed: int) -> None:
    """Write all that is learned from and tested on as one project."""
    writer = ProjectWriter(folder)
    writer.set_classes(ProjectClasses(scheme="instances"))
    for source in SOURCES:
        records = read_project(data / source.name).records
        splits = held_out([record.group for record in records], seed)
        for i, record in enumerate(records):
            _write_record(writer, source, record, splits[record.group], i)
    for i in range(CROWDS):
        rng = np.random.default_rng([seed, i])
        shortest = float(rng.uniform(4, 14))
        radius = shortest, shortest * float(rng.uniform(1.2, 2.5))
        labels = crowd(10_000 * seed + i, CROWD_SIDE, int(rng.integers(20, 500)), radius)
        split = "test" if i % 5 == 0 else "validation" if i % 10 == 1 else "training"
        name = f"crowd-{i:03}"
        writer.add(name, rendered(labels, rng), labels, group=name, split=split)


def _write_record(
    writer: ProjectWriter, source: Source, record: Record, split: str, number: int
) -> None:
    image = read_plane(record.image).read_all()
    image = image[..., :3] if image.ndim == 3 else image
    labels, group = read_labels(record.mask), f"{source.name}-{record.group}"
    name = f"{source.name}-{Path(record.name).stem}"
    pictures = [(name, image, labels)]
    rng = np.random.default_rng([number, len(record.name)])
    for k in range(source.resized if split == "training" else 0):
        factor = float(np.exp(rng.uniform(-0.6, 0.6)))
        pictures.append((f"{name}-{k}", *_resized(image, labels, factor)))
    for one, pixels, ids in pictures:
        if not ids.any():
            continue
        kept = writer.add(one, pixels, ids, group=group, split=split)
        writer.mark_complete(str(kept.image.relative_to(writer.folder)), source.complete)


def _resized(
    image: npt.NDArray[Any], labels: npt.NDArray[Any], factor: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    shape = tuple(max(64, round(n * factor)) for n in labels.shape)
    pixels = resize(image, (*shape, *image.shape[2:]), preserve_range=True, anti_aliasing=True)
    ids = resize(labels.astype(np.int32), shape, order=0, preserve_range=True)
    return np.round(pixels).astype(np.uint8), ids.astype(np.int32)


def otsu(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what the classical way finds; objects are what less of the image is."""
    grey = image.mean(axis=2) if image.ndim == 3 else image
    return classical(image, bool((grey > threshold_otsu(grey)).mean() > 0.5), 20, 5)


def measure(model: Path, project: Path, dev: Path | None) -> dict[str, Any]:
    """Find the objects of images that were not learned from, set by set.

    Returns
    -------
    dict
        Of each set the images, and of each way AP at 0.5, the mean AP and panoptic quality.
    """
    segmenter = load_segmenter(model)
    sets: dict[str, list[Record]] = {}
    for record in read_project(project).records:
        if record.split == "test" and record.complete is not False:
            sets.setdefault(Path(record.name).stem.split("-")[0], []).append(record)
    for name in DEV if dev else ():
        assert dev is not None
        sets[f"{name} (dev)"] = list(read_project(dev / name).records)
    figures: dict[str, Any] = {}
    for name, records in sets.items():
        matched = {"model": Matching(), "classical": Matching()}
        for record in records:
            plane, truth = read_plane(record.image), read_labels(record.mask).astype(np.int32)
            image = plane.read_all()
            mine = ObjectFinder.of(segmenter, image, rgb=plane.rgb).find()
            assert mine is not None
            matched["model"] += match(mine.labels, truth)
            matched["classical"] += match(otsu(image), truth)
        figures[name] = {"images": len(records)} | {
            way: {"ap_50": one.ap(), "ap_mean": one.mean_ap, "pq": one.pq}
            for way, one in matched.items()
        }
        print(name, json.dumps(figures[name]), flush=True)
    return figures


def card_of(card: ModelCard, data: Path, figures: dict[str, Any]) -> ModelCard:
    """Return the card of the model as it is published."""
    crowds = DataSource(name="generated crowds", images=CROWDS, licence="BSD-3-Clause")
    sources = [
        DataSource(
            name=one.name,
            images=len(read_project(data / one.name).records),
            licence=one.licence,
            citation=one.citation,
        )
        for one in SOURCES
    ]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    kept = {k: v for k, v in card.training.items() if k != "spec"}
    spec = {k: v for k, v in card.training["spec"].items() if k != "project"}
    return card.model_copy(
        update={
            "licence": "BSD-3-Clause",
            "description": "Finds nuclei and cells, each its own, without any click.",
            "limits": LIMITS,
            "data": (*(d for d in card.data if d.name == "ImageNet"), *sources, crowds),
            "training": {**kept, "spec": spec, "commit": commit},
            "metrics": {"sets": figures},
        }
    )


def main() -> None:
    """Train, measure or publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--model", type=Path, help="another model to measure")
    parser.add_argument("--dev", type=Path, help="folder of the sets for measuring only")
    args = parser.parse_args()
    project, run = args.out / "project", args.out / "run"
    spec = read_spec(args.spec, project=str(project))
    if not project.is_dir():
        write_project(args.data, project, spec.seed)
    model = args.model or run / "best.safetensors"
    if args.measure:
        figures = measure(model, project, args.dev)
        (args.out / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    elif args.publish:
        figures = json.loads((args.out / "figures.json").read_text(encoding="utf-8"))
        publish(model, card_of(read_card(model), args.data, figures))
    elif (run / "spec.json").exists():
        resume(run, on_event=_say, compare=False)
    else:
        finetune(spec, run, on_event=_say, compare=False)


def publish(model: Path, card: ModelCard) -> None:
    """Make a model the bundled one."""
    bundle(BUNDLED / "nuclei.safetensors", model, card, LIMIT)


def _say(event: dict[str, Any]) -> None:
    if event["event"] == "epoch":
        print(event["epoch"], json.dumps(event["metrics"]), flush=True)
    elif event["event"] in ("warning", "failed"):
        print(event.get("message") or event.get("text"), flush=True)


if __name__ == "__main__":
    main()
