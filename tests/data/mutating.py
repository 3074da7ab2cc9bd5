"""Break sound files in seeded ways, and read them as the program does.

`python -m tests.data.mutating KIND SEED COUNT` prints a line for each file that was not answered
with an image or with an error of ours in one line, within five seconds and 4 GiB. It is a process
of its own, so that a crash of a library is seen, too.
"""

from __future__ import annotations

import faulthandler
import io
import json
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr
from PIL import Image

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import read_clicks
from napari_clickseg.data.click_table import read_click_table
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import open_image, read_layout
from napari_clickseg.data.inspection.findings import inspect_project
from napari_clickseg.data.masks import read_mask
from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.journal.checked_lines import checked_line, whole_lines
from napari_clickseg.journal.recording import JournalError, read_journal
from napari_clickseg.models.checkpoint import ModelFileError, read_card
from napari_clickseg.training.run_folder import RunError, RunFolder, Sets
from napari_clickseg.training.spec import TrainingSpec
from tests.journal.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS, MEMORY = 5, 4 * 1024**3
OURS = (ImageError, ProjectError, ModelFileError, JournalError, RunError)
GREY = (np.arange(40 * 50) % 7).reshape(40, 50).astype(np.uint8)
COLOUR = np.dstack([GREY * 30, GREY * 20, GREY * 10])
STRANGE = (0, 1, 2, 3, 127, 128, 255)
LARGE = (0, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x40000000, 1_000_000, 100_000)
WORDS = ("", "-1", "1e999", "nan", "null", "[]", "{}", '"', ",", "\n", "\0", "../..", "9" * 40, "é")


def pictures() -> dict[str, bytes]:
    """Return a sound file of each kind."""
    files = {}
    for name, array, options in (
        ("a.png", GREY, {}),
        ("b.png", COLOUR, {}),
        ("c.jpg", COLOUR, {}),
        ("d.gif", GREY, {}),
        ("e.bmp", COLOUR, {}),
        ("f.webp", COLOUR, {"lossless": True}),
        ("g.pgm", GREY, {}),
        ("h.jp2", GREY, {}),
    ):
        out = io.BytesIO()
        kind = {"jpg": "JPEG", "pgm": "PPM", "jp2": "JPEG2000"}.get(name[2:], name[2:].upper())
        Image.fromarray(array).save(out, kind, **options)
        files[name] = out.getvalue()
    stack = np.stack([GREY, GREY + 1, GREY + 2, GREY + 3, GREY + 4])
    for name, array, kwargs in (
        ("i.tif", GREY, {}),
        ("j.tif", stack, {"compression": "zlib"}),
        ("k.ome.tif", stack, {"metadata": {"axes": "ZYX"}}),
        ("l.tif", COLOUR, {"photometric": "rgb", "compression": "lzw", "tile": (16, 16)}),
        ("m.tif", stack.astype(np.uint16), {"imagej": True, "metadata": {"axes": "ZYX"}}),
    ):
        out = io.BytesIO()
        tifffile.imwrite(out, array, ome=".ome" in name, **{"photometric": "minisblack"} | kwargs)
        files[name] = out.getvalue()
    out = io.BytesIO()
    np.save(out, stack)
    files["n.npy"] = out.getvalue()
    return files


def broken(data: bytes, rng: random.Random) -> bytes:
    """Return a file with a few bytes, numbers or words changed, cut or doubled."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(min(len(out), rng.choice((64, 512, len(out)))) or 1) if out else 0
        match rng.randrange(7):
            case 0:
                out[at : at + 1] = bytes([rng.choice(STRANGE)])
            case 1:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                order = rng.choice(("little", "big"))
                size = rng.choice((2, 4, 8))
                number = rng.choice(LARGE) % (1 << 8 * size)
                out[at : at + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
            case 3:
                del out[at:]
            case 4:
                del out[at : at + rng.randrange(1, 40)]
            case 5:
                out[at:at] = out[at : at + rng.randrange(1, 40)]
            case _:
                out[at:at] = rng.choice(WORDS).encode()
    return bytes(out)


def read_image(path: Path) -> None:
    """Read a file in all ways, and see that they agree."""
    said: Any = None
    try:
        said = read_layout(path)
    except ImageError as error:
        assert "\n" not in str(error)
    try:
        image = open_image(path)
        plane = image.plane((0,) * len(image.stack_axes))
        pixels = plane.read_all()
        assert pixels.ndim in (2, 3), pixels.shape
        assert pixels.shape[:2] == plane.shape[:2], (pixels.shape, plane.shape)
        assert said is None or (plane.shape, plane.dtype) == (said.shape, said.dtype)
    except ImageError as error:
        assert "\n" not in str(error)
    read_mask(path)


def images(rng: random.Random, count: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield broken pictures, and what reads them."""
    sound = pictures()
    for number in range(count):
        name = rng.choice(sorted(sound))
        path = folder / f"{number}-{name}"
        path.write_bytes(broken(sound[name], rng))
        yield name, lambda path=path: read_image(path)
        path.unlink()


def zarrs(rng: random.Random, count: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield Zarr folders of which a file is broken, and what reads them."""
    for number in range(count):
        path = folder / f"{number}.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=rng.choice((2, 3)))
        group.create_array("0", data=GREY, chunks=(16, 16))
        axes = [{"name": "y"}, {"name": "x"}]
        group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
        files = sorted(each for each in path.rglob("*") if each.is_file())
        chosen = rng.choice(files)
        chosen.write_bytes(broken(chosen.read_bytes(), rng))
        yield chosen.name, lambda path=path: read_image(path)
        shutil.rmtree(path)


def texts(rng: random.Random, count: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield projects of which a text is broken, and what reads them."""
    project = folder / "project"
    for name in ("images", "masks", "clicks", "predictions"):
        (project / name).mkdir(parents=True)
    for name in "ab":
        Image.fromarray(GREY).save(project / f"images/{name}.png")
    Image.fromarray(GREY).save(project / "masks/a.png")
    click = {"image": "images/a.png", "y": 1.0, "x": 2.0, "kind": "tp"}
    sound = {
        "index.csv": "image,mask,group,split\nimages/a.png,masks/a.png,g,\nimages/b.png,,h,\n",
        "classes.json": '{"scheme": "classes", "classes": [{"id": 1, "name": "a"}], "ignore": 9}',
        "clicks/a.json": '{"clicks": [{"y": 1.0, "x": 2.0, "object": 1}], "classes": {"1": 2}}',
        "table.json": json.dumps({"images": [], "clicks": [click]}),
        "predictions/review.csv": "image,prediction,model,uncertainty,state,when,schema_version\n"
        "images/b.png,predictions/b.png,m,0.5,to review,now,1\n",
    }
    for _ in range(count):
        for name, text in sound.items():
            (project / name).write_text(text)
        name = rng.choice(sorted(sound))
        (project / name).write_bytes(broken(sound[name].encode(), rng))

        def read(name: str = name) -> None:
            if name == "table.json":
                read_click_table(project / name)
            elif name == "clicks/a.json":
                read_clicks(project / name)
            elif name == "predictions/review.csv":
                ReviewQueue(project).waiting()
            else:
                findings = inspect_project(read_project(project))
                assert all("\n" not in problem.text for problem in findings.problems)

        yield name, read


def cards(rng: random.Random, count: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield model files that are broken, and what reads their cards."""
    card = '{"name": "t", "architecture": "unet", "encoder": "resnet18", "window": {"size": 64}}'
    head = json.dumps(
        {
            "__metadata__": {"napari_clickseg_card": card},
            "w": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
        }
    ).encode()
    sound = len(head).to_bytes(8, "little") + head + b"\0" * 4
    path = folder / "m.safetensors"
    for _ in range(count):
        changed = broken(head, rng)
        whole = len(changed).to_bytes(8, "little") + changed + b"\0" * 4
        path.write_bytes(whole if rng.randrange(4) else broken(sound, rng))
        yield path.name, lambda: read_card(path)


def models(rng: random.Random, count: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield models that are broken anywhere, and what loads their networks."""
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.models.checkpoint import load_network, save_model
    from napari_clickseg.models.network import build_network

    options = {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}
    card = ModelCard(name="t", architecture="unet", encoder="mobilenet_v2", options=options)
    path = folder / "m.safetensors"
    save_model(path, build_network(card).state_dict(), card)
    sound = path.read_bytes()
    head = 8 + int.from_bytes(sound[:8], "little")
    for _ in range(count):
        if rng.randrange(4):
            changed = broken(sound[8:head], rng)
            path.write_bytes(len(changed).to_bytes(8, "little") + changed + sound[head:])
        else:
            path.write_bytes(broken(sound, rng))
        yield path.name, lambda: load_network(path)


def journals(
    rng: random.Random, count: int, folder: Path
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield journals that are broken, and what reads them.

    Some are broken as disks do it: what is read is what there was at the end of a line. Some say
    nonsense in lines that are whole.
    """
    path = folder / "0.jsonl"
    for number in range(count):
        if number % 50 == 0:
            session = Session(rng.randrange(1 << 30))
            for _ in range(15):
                session.do_anything()
        moments = dict(session.moments)
        if rng.randrange(2):
            path.write_bytes(broken(session.content, rng))
            yield "bytes", lambda moments=moments: read_as_it_was(path, moments)
        else:
            said, _ = whole_lines(session.content)
            at = rng.randrange(len(said))
            text = broken(said[at].encode(), rng).decode(errors="ignore").replace("\n", "")
            said[at] = _another_number(said[at], rng) if rng.randrange(2) else text
            path.write_bytes(b"".join(map(checked_line, said)))
            yield "lines", lambda: read_whole(path)


def _another_number(text: str, rng: random.Random) -> str:
    """Return JSON with another number in it."""
    numbers = list(re.finditer(r"(?<=[\[:, ])-?\d+", text))
    if not numbers:
        return text
    one = rng.choice(numbers)
    other = rng.choice((*map(str, (*STRANGE, *LARGE)), "-1", "0.5", "9" * 19, "9" * 400, "null"))
    return text[: one.start()] + other + text[one.end() :]


def read_as_it_was(path: Path, moments: dict[int, Any]) -> None:
    """Read a journal, and see that it gives what there was after a line."""
    recording = read_journal(path)
    moment = moments[recording.whole]
    assert np.array_equal(recording.labels(), moment.labels)
    assert recording.scene == moment.scene


def read_whole(path: Path) -> None:
    """Read all that a journal says."""
    recording = read_journal(path)
    assert recording.labels().shape == recording.began.labels
    _ = recording.unsaved


def runs(rng: random.Random, count: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield runs of which a file is broken, and what lists, follows and resumes them."""
    import torch

    from napari_clickseg._napari.train.runs import list_runs, reader_of

    run = RunFolder(folder / "runs/cells")
    run.create(TrainingSpec(name="cells", project="/none"))
    run.keep_sets(Sets("a", ("x",), ("y",), 0.5))
    run.add("started", pid=2**22, epochs=3, training=4, validation=2, device="cpu")
    run.add("epoch", epoch=1, loss=0.4, metrics={"iou": 0.7}, best=True)
    run.add("finished", reason="done", best_epoch=1, model="best.safetensors")
    run.save_checkpoint({"epoch": 1, "weights": torch.zeros(4), "rng": [1, 2]})
    sound = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}

    def read() -> None:
        (entry,) = list_runs(folder)
        assert entry.name == "cells"
        reader_of(run.path).look()
        refused = []
        for part in ("spec", "sets"):
            try:
                getattr(run, part)
            except RunError as error:
                refused.append(str(error))
        assert not any("\n" in text for text in refused)
        run.load_checkpoint()

    for _ in range(count):
        for path, content in sound.items():
            path.write_bytes(content)
        chosen = rng.choice(sorted(sound))
        chosen.write_bytes(broken(sound[chosen], rng))
        yield chosen.name, read


def attempt(read: Callable[[], Any]) -> str:
    """Read, and return what is wrong with how it ended; empty where nothing is."""

    def late(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, late)
    began = time.process_time()
    signal.alarm(12 * SECONDS)  # of any clock; the machine may be busy
    try:
        read()
    except OURS as error:
        if "\n" in str(error):
            return f"more than a line: {error!r}"
    except KeyboardInterrupt:
        return "takes too long"
    except BaseException as error:  # noqa: BLE001  (whatever it is, it is not ours)
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
    return "takes too long" if time.process_time() - began > SECONDS else ""


def main(kind: str, seed: int, count: int) -> int:
    """Break and read so many files; return how many were not answered as they should be."""
    import logging

    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    rng, wrong = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as name:
        for number, (what, read) in enumerate(globals()[kind](rng, count, Path(name))):
            problem = attempt(read)
            if problem:
                wrong += 1
                sys.stdout.write(f"{kind} {seed} number {number}, {what}: {problem}\n")
                sys.stdout.flush()
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])) else 0)
