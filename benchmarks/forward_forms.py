"""Forms in which the network could answer: how long each takes, and how far it is from the first.

    python benchmarks/forward_forms.py [--model M] [--threads N] [--windows N] [--rounds N] [--onnx]
        [--compile]

The forms take turns, and the best of many times counts, so that a busy machine favours none; on one
thread it is the processor's time, so that others take none of it.
`torch.compile` needs a C++ compiler and is timed once, with the time that its first answer takes.
Forms in bfloat16 are left out where the processor does not multiply it. `--onnx` adds the same
network as ONNX, run by onnxruntime (the extra `onnx`) and, where it is installed, by OpenVINO.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_clickseg.core.guidance import input_channels
from napari_clickseg.engine.devices import quick_dtype
from napari_clickseg.engine.twin import fold_normalisation, quick_twin
from napari_clickseg.models._torch import keep_triton_out
from napari_clickseg.models.checkpoint import load_network
from napari_clickseg.models.onnx_network import INPUTS
from napari_clickseg.models.registry import find_model
from napari_clickseg.models.sharing.onnx_export import export_onnx

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


def run_as_onnx(model: str, threads: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return the model as ONNX in the programs that are there; they answer with logits, too."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, path)
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        first = session.get_outputs()[0].name

        def by_onnxruntime(inputs: Tensor) -> Tensor:
            answer = session.run([first], {INPUTS: inputs.numpy()})[0]
            return torch.from_numpy(answer).logit()

        forms = {"float32, onnxruntime": by_onnxruntime}
        with suppress(ImportError):
            import openvino

            core = openvino.Core()
            compiled = core.compile_model(
                core.read_model(str(path)),
                "CPU",
                {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"},
            )
            forms["float32, OpenVINO"] = lambda x: torch.from_numpy(
                compiled({INPUTS: x.numpy()})[0].copy()
            ).logit()
    return forms


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--windows", type=int, default=1, help="a first click looks at five")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    if not args.compile:
        keep_triton_out()
    network, card = load_network(find_model(args.model).path)
    network.eval()
    size = card.window.size
    torch.manual_seed(0)
    channels = input_channels(card.encoding, card.image_channels)
    plain = torch.rand(args.windows, channels, size, size)
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
    if args.onnx:
        forms |= {name: (run, plain) for name, run in run_as_onnx(args.model, args.threads).items()}
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
        for _ in range(args.rounds):
            for name, (form, inputs) in forms.items():
                since = clock()
                answers[name] = torch.sigmoid(form(inputs))
                best[name] = min(best[name], clock() - since)
    windows = f"{args.windows} window{'' if args.windows == 1 else 's'} of {size} px"
    print(f"{windows}, {args.threads} threads, best of {args.rounds}\n")
    print("| form | ms | largest difference of probability | first answer |")
    print("|---|--:|--:|--:|")
    for name, seconds in best.items():
        off = float((answers[name] - answers["float32"]).abs().max())
        begin = f"{first[name]:.0f} s" if name in first else ""
        print(f"| {name} | {1e3 * seconds:.1f} | {off:.4f} | {begin} |")


if __name__ == "__main__":
    main()
