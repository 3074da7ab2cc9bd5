"""Forms in which the network could answer: how long each takes, and how far it is from the first.

    python benchmarks/forward_forms.py [--model M] [--threads N] [--compile]

The forms take turns, and the best of many times counts, so that a busy machine favours none.
`torch.compile` needs a C++ compiler and is timed once, with the time that its first answer takes.
Forms in bfloat16 are left out where the processor does not multiply it.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_clickseg.core.guidance import input_channels
from napari_clickseg.engine.devices import quick_dtype
from napari_clickseg.engine.twin import fold_normalisation, quick_twin
from napari_clickseg.models._torch import keep_triton_out
from napari_clickseg.models.checkpoint import load_network
from napari_clickseg.models.registry import find_model

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 40


def half(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Answer in bfloat16 where torch finds it safe."""

    def answer(inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            out: Tensor = network(inputs)
            return out.float()

    return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if not args.compile:
        keep_triton_out()
    network, card = load_network(find_model(args.model).path)
    network.eval()
    size = card.window.size
    torch.manual_seed(0)
    plain = torch.rand(1, input_channels(card.encoding, card.image_channels), size, size)
    last = plain.contiguous(memory_format=torch.channels_last)
    laid_out = copy.deepcopy(network).to(memory_format=torch.channels_last)
    folded = fold_normalisation(copy.deepcopy(network)).to(memory_format=torch.channels_last)
    forms: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
        "float32": (network, plain),
        "float32, channels_last": (laid_out, last),
        "float32, channels_last, normalisation folded in": (folded, last),
    }
    narrow = quick_dtype(torch.device("cpu")) == torch.bfloat16
    if narrow:  # elsewhere it takes a second
        twin = quick_twin(laid_out, last, torch.bfloat16)
        if twin is None:
            raise SystemExit("This network has no narrow twin.")
        forms |= {
            "bfloat16 by autocast, channels_last": (half(laid_out), last),
            "bfloat16 by autocast, folded in": (half(folded), last),
            "bfloat16 throughout, folded in": (lambda x: twin(x).float(), last.bfloat16()),
        }
    best = dict.fromkeys(forms, float("inf"))
    first: dict[str, float] = {}
    answers: dict[str, Tensor] = {}
    with torch.inference_mode():
        if args.compile:
            compiled = torch.compile(copy.deepcopy(laid_out))
            form = half(compiled) if narrow else compiled
            name = "bfloat16 by autocast, compiled" if narrow else "float32, compiled"
            since = time.perf_counter()
            form(last)
            first[name] = time.perf_counter() - since
            forms[name] = (form, last)
            best[name] = float("inf")
        for _ in range(ROUNDS):
            for name, (form, inputs) in forms.items():
                since = time.perf_counter()
                answers[name] = torch.sigmoid(form(inputs))
                best[name] = min(best[name], time.perf_counter() - since)
    print(f"{size} px, {args.threads} threads, best of {ROUNDS}\n")
    print("| form | ms | largest difference of probability | first answer |")
    print("|---|--:|--:|--:|")
    for name, seconds in best.items():
        off = float((answers[name] - answers["float32"]).abs().max())
        begin = f"{first[name]:.0f} s" if name in first else ""
        print(f"| {name} | {1e3 * seconds:.1f} | {off:.4f} | {begin} |")


if __name__ == "__main__":
    main()
