"""Annotates by a script until it is killed, and says after each step what is accepted.

    python -m tests.napari.annotate.autosave.killed KILLS SEED FOLDER

A process for each kill, forked where napari and the network are loaded; each is killed by SIGKILL
at a random moment. A line for each says what the journal gave of what had been shown: "kept" and
how many of the steps shown were lost, all of them of the last second; or what went wrong.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel

from napari_clickseg.journal.recording import read_journal
from napari_clickseg.models.card import ModelCard, WindowSpec
from tests.napari.conftest import Bench, FakeModel

SECOND = 1.0
# Of the processor, which the script and the journal's thread share: where a machine has so much
# else to do that a process gets a tenth of it, nothing is written within a second either.
WORKING = 0.3
SHAPE = (160, 220)


def card(**fields: Any) -> ModelCard:
    spec = WindowSpec(size=fields.pop("size"), first_span=256)
    options = {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}
    known = {"name": "tiny", "architecture": "unet", "encoder": "mobilenet_v2", "options": options}
    return ModelCard.model_validate(known | fields | {"window": spec})


def checksum(labels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(labels, np.int64).data)


def annotate(seed: int, home: Path, out: int) -> None:
    """Click, accept, paint, delete, undo and redo without end."""
    rng = random.Random(seed)
    bench = Bench(ViewerModel(), FakeModel(card), home=home)  # type: ignore[arg-type]
    pixels = np.random.default_rng(seed).integers(0, 255, SHAPE).astype(np.uint8)
    bench.open(pixels)
    number = 0
    while True:
        act = rng.choice(["accept"] * 4 + ["paint", "paint", "undo", "redo", "delete", "skip"])
        if act == "paint":
            layer = bench.pairing.annotation
            assert layer is not None
            layer.brush_size = rng.randint(1, 15)
            layer.paint((rng.randrange(SHAPE[0]), rng.randrange(SHAPE[1])), rng.randint(0, 5))
        elif act in ("accept", "skip"):
            bench.click(rng.randrange(SHAPE[0]), rng.randrange(SHAPE[1]))
            bench.do(act)
        elif act == "delete":
            labelled = np.argwhere(bench.labels)
            if len(labelled):
                bench.take_up(*map(int, rng.choice(labelled.tolist())))
                bench.do(act)
        else:
            bench.do(act)
        number += 1
        now = f"{time.monotonic()} {time.process_time()}"
        shown = f"{number} {now} {checksum(bench.labels)}\n"
        os.write(out, shown.encode())


def killed(seed: int, home: Path) -> str:
    """Kill an annotating process at a random moment, and compare."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            annotate(seed, home, write)
        finally:
            os._exit(1)
    os.close(write)
    said, wanted = b"", random.Random(seed).uniform(0.0, 3.0)
    end: float | None = None
    while end is None or time.monotonic() < end:
        left = 120.0 if end is None else max(0.0, end - time.monotonic())
        ready, _, _ = select.select([read], [], [], left)
        part = os.read(read, 1 << 16) if ready else b""
        if (ready and not part) or (not ready and end is None):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "the script ended by itself"
        said += part
        if end is None:  # it has begun
            end = time.monotonic() + wanted
    moment = time.monotonic()
    os.kill(child, signal.SIGKILL)
    used = os.wait4(child, 0)[2]
    while part := os.read(read, 1 << 16):
        said += part
    os.close(read)
    return compared(said.decode(), moment, used.ru_utime + used.ru_stime, home)


def compared(said: str, moment: float, used: float, home: Path) -> str:
    """Say what the journal has of what was shown until a moment, and so many processor seconds."""
    lines = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
    shown = [(float(at), float(cpu), int(crc)) for _, at, cpu, crc in lines]
    journals = list((home / "journals").glob("*.jsonl"))
    sums = checksum(np.zeros(SHAPE, np.int64))
    if journals:
        sums = checksum(read_journal(journals[0]).labels())
    old = [at for at, cpu, _ in shown if at < moment - SECOND and cpu < used - WORKING]
    # A step may be on the disk before it is said, so one more than was said is right, too.
    known = [checksum(np.zeros(SHAPE, np.int64)), *(crc for *_, crc in shown)]
    places = [i for i, crc in enumerate(known) if crc == sums]
    if places and places[-1] >= len(old):
        return f"kept {len(shown) - places[-1]} lost"
    return (
        "kept 0 lost"
        if not places and len(journals) == 1 and newer(journals[0], known[-1])
        else (
            f"WRONG: {len(shown)} steps shown, {len(old)} older than a second, found {places}; "
            f"{[(round(moment - at, 2), round(used - cpu, 2)) for at, cpu, _ in shown]} seconds ago"
        )
    )


def newer(path: Path, last: int) -> bool:
    """Whether a journal has one step more than was shown."""
    content = path.read_bytes().splitlines(keepends=True)
    shorter = path.with_suffix(".shorter")
    for n in (1, 2, 3):  # a step may take several lines, as taking up and deleting do
        shorter.write_bytes(b"".join(content[:-n]))
        if len(content) > n and checksum(read_journal(shorter).labels()) == last:
            return True
    return False


def warm_up(home: Path) -> None:
    """Load all that is needed, so that no process that is forked has to; no thread is left."""
    import torch

    torch.set_num_threads(1)
    bench = Bench(ViewerModel(), FakeModel(card), home=home)  # type: ignore[arg-type]
    bench.open(np.zeros(SHAPE, np.uint8))
    bench.click(50, 50)
    bench.do("accept")
    bench.controller.close()
    assert bench.controller.runner.join(60)
    assert bench.controller.autosave.thread.close()


def main() -> None:
    kills, seed, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    warm_up(folder / "first")
    for number in range(kills):
        sys.stdout.write(killed(seed + number, folder / str(number)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
