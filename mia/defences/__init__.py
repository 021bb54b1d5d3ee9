"""Output defences: take a model's logits, give what people get to see instead; never see a true label.

`make_defence` builds the defence of one model, to be asked as often as one likes; `defend` builds one and asks it once.
Both are loaded when first used: the options in this folder are part of the command's help, which cannot wait for NumPy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mia.defences.registry import defend, make_defence

__all__ = ["defend", "make_defence"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mia.defences import registry

    return getattr(registry, name)
