"""Shapes in signatures, checked while tests run: an axis that is named twice must be as long both times.

Only jaxtyping's annotations are checked; whatever else stands in a signature is mypy's business. An import hook applies
the check before anything of `mia` is imported; processes that a test starts run without it.
"""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, install_import_hook

EXCUSED = {
    "mia.records.Dataset.__init__",  # what another package loads: `mia.data.validate` checks that
    "mia.records.Scores.__init__",  # what another package's attack gives: `mia.attacks.run` does
    "mia.train.hooks.Strengths.__init__",  # a tree of JAX's: its leaves may be of many models, or no arrays at all
}


WHOLE_NUMBERS_ARE_FLOATS = BeartypeConf(is_pep484_tower=True)


def begin() -> None:
    """Check the shapes of all that is imported from now on."""
    install_import_hook("mia", f"{__name__}.{check_arrays.__name__}")


def check_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that checks the arrays among its arguments; it has none: the function itself."""
    hints = {name: hint if has_array(hint) else Any for name, hint in function.__annotations__.items()}
    is_excused = f"{function.__module__}.{function.__qualname__}" in EXCUSED
    if is_excused or all(hint is Any for hint in hints.values()):
        return function
    function.__annotations__ = hints
    signature = inspect.signature(function)
    plain = [one.replace(annotation=hints.get(one.name, Any)) for one in signature.parameters.values()]
    function.__signature__ = signature.replace(parameters=plain, return_annotation=hints.get("return", Any))
    return beartype(conf=WHOLE_NUMBERS_ARE_FLOATS)(function)


def has_array(hint: Any) -> bool:
    """Tell whether an annotation speaks of an array's shape, and of nothing that has no meaning yet."""
    parts = typing.get_args(hint)
    if any(isinstance(part, str) for part in parts):
        return False
    return (inspect.isclass(hint) and issubclass(hint, AbstractArray)) or any(has_array(part) for part in parts)
