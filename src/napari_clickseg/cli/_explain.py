"""`clickseg explain`: show what a network sees, and what its mask rests on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import UsageError, Waiting, add_model_options, add_verb, count, say
from napari_clickseg.cli._predict import add_prompt_options, begun_session

if TYPE_CHECKING:
    import argparse

    from napari_clickseg.engine.session import Session
    from napari_clickseg.explain.maps import Explanation, PlacedMap

_MAPS = 16


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "explain",
        run,
        "Show what a network sees in an image, and what its mask rests on.",
        "Writes pictures, and each map as TIFF (float32) with where it lies in explain.json: "
        "activations and heat maps (Grad-CAM) of places within the network, the pixels that the "
        "mask rests on (integrated gradients), and the difference that each click makes.",
    )
    option = parser.add_argument
    option("image", type=Path, metavar="IMAGE", help="as of clickseg predict")
    add_prompt_options(parser)
    option("--out", type=Path, metavar="FOLDER", help="a new or an empty folder")
    option(
        "--place",
        nargs="+",
        metavar="NAME",
        help="places within the network; by default the deepest of the encoder, and the decoder",
    )
    option("--list", action="store_true", help="list the places, and write nothing")
    option("--class", dest="output", type=count, metavar="N", help="from 1; default: most found")
    option("--maps", type=count, default=_MAPS, metavar="N", help="of each place; default 16")
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    if args.out is None and not args.list:
        raise UsageError("Say where the maps go: --out FOLDER; see clickseg explain --help.")
    if args.maps < 1:
        raise UsageError("--maps 0 shows nothing; give 1 or more.")
    if args.out is not None:
        _check_empty(args.out)
    with Waiting("loading the model and the image") as waiting:
        session, segmenter = begun_session(args)
        waiting.say("predicting")
        from napari_clickseg.explain.maps import Explanation

        explanation = Explanation(segmenter, session, output=args.output)
        places = explanation.places
        if not args.list:
            waiting.say("explaining")
            for name in args.place or _usual(places):
                explanation.opened.place(name)  # before anything is written
            args.out.mkdir(parents=True, exist_ok=True)
            written = _write(args, explanation, session)
    if args.list:
        for name in places:
            say(name)
        return 0
    say(f"{args.out}: {', '.join(written.pictures)}")
    for name in written.blank:
        say(f"Nothing at '{name}' speaks for the mask; see other places by --list, --place NAME.")
    return 0


def _check_empty(folder: Path) -> None:
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder; choose another one.")


def _usual(places: tuple[str, ...]) -> list[str]:
    """Return the encoder's deepest place, and the decoder as a whole, where they are there."""
    encoder = [name for name in places if name.startswith("encoder")]
    return list(dict.fromkeys([*encoder[-1:], *[n for n in places if n == "decoder"]])) or [
        places[-1]
    ]


def _write(args: argparse.Namespace, explanation: Explanation, session: Session) -> _About:
    from napari_clickseg.explain.gesture_effect import gesture_effects
    from napari_clickseg.explain.map_figures import draw_maps, draw_over

    last, about = explanation.last, _About(args.out)
    seen, mask = last.inputs[: explanation.card.image_channels], explanation.mask
    for name in args.place or _usual(explanation.places):
        maps, heat = explanation.activations(name, args.maps), explanation.heat_map(name)
        short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        draw_maps(about.keep(f"activations-{short}", maps), maps.data, f"Activations: {name}")
        path = about.keep(f"heat-map-{short}", heat)
        draw_over(path, seen, heat.data, mask, f"Grad-CAM: {name}")
        if not heat.data.any():
            about.blank.append(name)
    attribution = explanation.attribution()
    title = f"Pixels; clicks and mask before: {attribution.guidance:.0%}"
    path = about.keep("pixels", attribution.pixels, guidance=round(attribution.guidance, 4))
    draw_over(path, seen, attribution.pixels.data, mask, title, signed=True)
    from napari_clickseg.explain.maps import PlacedMap

    for k, effect in enumerate(gesture_effects(session), 1):
        extent = effect.extent
        placed = PlacedMap(effect.difference, (1.0, 1.0), (float(extent.top), float(extent.left)))
        shown = _in_window(effect.difference, (extent.top, extent.left), explanation, session)
        path = about.keep(f"gesture-{k}", placed, gained=effect.gained, lost=effect.lost)
        title = f"Gesture {k}: {effect.gained:,} pixels gained, {effect.lost:,} lost"
        draw_over(path, seen, shown, mask, title, signed=True)
    about.write(list(explanation.places))
    return about


def _in_window(
    difference: Any, origin: tuple[int, int], explanation: Explanation, session: Session
) -> Any:
    """Bring a difference of probabilities into the pixels of the window."""
    import numpy as np

    window = explanation.last.window
    if not difference.size:
        return np.zeros((window.size, window.size), np.float32)
    at = (float(origin[0]), float(origin[1]))
    return window.from_image(difference, at, (1.0, 1.0), session.shape)


class _About:
    """What is written into a folder, and where in the image it lies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures: list[str] = []
        self.blank: list[str] = []  # places whose heat map is 0 everywhere
        self._maps: list[dict[str, Any]] = []

    def keep(self, name: str, placed: PlacedMap, **more: Any) -> Path:
        """Write a map as TIFF; return where its picture goes."""
        import tifffile

        if placed.data.size:
            tifffile.imwrite(self.folder / f"{name}.tif", placed.data, photometric="minisblack")
        self._maps.append(
            {"name": name, "scale": placed.scale, "translate": placed.translate, **more}
        )
        self.pictures.append(f"{name}.png")
        return self.folder / f"{name}.png"

    def write(self, places: list[str]) -> None:
        """Write explain.json."""
        text = json.dumps({"places": places, "maps": self._maps}, indent=2)
        (self.folder / "explain.json").write_text(text + "\n", encoding="utf-8")
