"""Membership-inference auditing: train a target and its shadows, attack the target, track every run.

From Python: `mia.audit(...)` attacks predictions that any program made, `mia.plan(...)` says who trains on what,
`mia.run(mia.compose("data=digits"))` runs an experiment. Everything is loaded when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mia.face import audit, compose, plan, run
    from mia.plans import Plan
    from mia.records import Scores, Signals
    from mia.results import Result

__version__ = "0.2.0"
__all__ = ["Plan", "Result", "Scores", "Signals", "audit", "compose", "plan", "run"]

_PLACES = {"Plan": "plans", "Result": "results", "Scores": "records", "Signals": "records"}


def __getattr__(name: str) -> Any:
    """Load a part of the face when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES.get(name, 'face')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
