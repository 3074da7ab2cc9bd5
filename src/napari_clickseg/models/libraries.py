"""Import the libraries of networks without torch's compiler, which nothing here uses.

torchvision and timm load `torch._dynamo` while they are imported: half of the time that the first
model takes, for a few functions that mark what the compiler is to leave alone.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_UTILS = "torch._dynamo.utils"
_FILLS = ("normal_", "uniform_")  # ends of the names of what fills at random
_lock = threading.RLock()


def import_networks() -> None:
    """Import torchvision, timm and segmentation_models_pytorch, each once.

    What they take from the compiler while they are imported is put off until it is used.
    """
    with _lock:
        if "segmentation_models_pytorch" in sys.modules:
            return
        with without_compiler():
            import segmentation_models_pytorch  # noqa: F401


@contextmanager
def without_compiler() -> Iterator[None]:
    """Put off what libraries that are imported meanwhile take from the compiler."""
    with _lock:
        if _UTILS in sys.modules or "torch._dynamo" in sys.modules:
            yield
        else:
            with _lazy():
                yield


@contextmanager
def _lazy() -> Iterator[None]:
    """Put torch's own lazy functions where the libraries look for the compiler's."""
    from torch import compiler
    from torch._compile import _disable_dynamo

    def is_compile_supported(device: str) -> bool:
        from torch._dynamo.utils import is_compile_supported as supported

        return bool(supported(device))

    utils = ModuleType(_UTILS)
    utils.__dict__["is_compile_supported"] = is_compile_supported
    disable = compiler.disable
    sys.modules[_UTILS] = utils
    compiler.disable = _disable_dynamo  # type: ignore[assignment]
    try:
        yield
    finally:
        compiler.disable = disable
        if sys.modules.get(_UTILS) is utils:
            del sys.modules[_UTILS]


def without_values() -> AbstractContextManager[object]:
    """Leave tensors of the meta device as they are, where they would be filled at random.

    They hold no values, and filling them loads the compiler. segmentation_models_pytorch makes
    such tensors to learn an encoder's channels.
    """
    from torch.overrides import TorchFunctionMode

    class WithoutValues(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            given = kwargs or {}
            if getattr(func, "__name__", "").endswith(_FILLS):
                tensor = args[0] if args else given["tensor"]  # as torch.nn.init calls it
                if tensor.is_meta:
                    return tensor
            return func(*args, **given)

    return WithoutValues()
