"""Overrides as people type them, made ready for Hydra's grammar, or refused in one line that says what to quote.

Takes and gives overrides, `KEY=VALUE`; reads no file and composes nothing. A config is data: overrides that would name
code, or take a config from elsewhere, are refused here.
"""

import re
import sys
from collections.abc import Iterable, Mapping

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from mia.checks import RequestError, did_you_mean

GROUPS = ("data", "split", "shadow_data", "model", "train", "defence", "attack", "engine", "tracking")
CHOICES = (*GROUPS, "paper", "sweeps")
HYDRA_KEYS = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper")
"""What of Hydra itself a request may set: none of it names code."""
BARE = re.compile(r"[\w /\-\\+.$%*@?|:]*", re.ASCII)
"""What Hydra's grammar takes without quotes."""


def key_of(override: str) -> str:
    """Return the key of an override, without the signs before it."""
    return override.lstrip("+~").partition("=")[0]


def tidy(overrides: Iterable[str]) -> list[str]:
    """Return the overrides as Hydra's grammar wants them.

    Values that the grammar takes only in quotes are put in quotes; `~attack.NAME` becomes the attack's absence. A key
    that is given twice is said on stderr; the last one counts.

    Raises:
        RequestError: an override cannot be read, or asks for what no config may.
    """
    typed = list(overrides)
    for number, one in enumerate(typed):
        _refuse_split(typed, number)
        if not key_of(one):
            raise RequestError(f"{one} names no key; write KEY=VALUE")
        refuse_code(one)
    ready = [_quoted(re.sub(r"^~attack\.(\w+)$", r"attack.\1=null", one)) for one in typed]
    parsed(ready)
    keys = [key_of(one) for one in ready]
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        last = next(one for one in reversed(ready) if key_of(one) == key)
        print(f"mia: warning: {key} is given {keys.count(key)} times: {last} counts", file=sys.stderr)
    return ready


def parsed(overrides: Iterable[str], parser: OverridesParser | None = None) -> list[Override]:
    """Return the overrides as Hydra understands them.

    Raises:
        RequestError: one of them cannot be read.
    """
    parser = parser or OverridesParser.create()
    found = []
    for one in overrides:
        try:
            found += parser.parse_overrides([one])
        except HydraException as error:
            raise RequestError(_unreadable(one)) from error
    return found


def refuse_code(override: str) -> None:
    """Refuse an override through which a config could name code.

    Raises:
        RequestError: it sets Hydra's own machinery, a target or a package, or takes a config from elsewhere.
    """
    key, _, value = override.lstrip("+~").partition("=")
    if "_target_" in re.split(r"[./\s]", key) or re.search(r"_target_['\"]?\s*:", value):
        raise RequestError(f"{override}: _target_ names code, and a config never does")
    root = re.match(r"\s*['\"]?(hydra\b[./]?\w*)", key)
    if root and root[1] not in HYDRA_KEYS:
        raise RequestError(f"{override}: {root[1]} cannot be set; of Hydra itself: {', '.join(HYDRA_KEYS)}")
    if "@" in key:
        raise RequestError(f"{override}: {key} must be a plain config key, without @")
    refuse_path(override)


def refuse_path(override: str) -> None:
    """Refuse a choice by path: of the file that lies there Hydra would take all that it says, its own settings too.

    Raises:
        RequestError: the override is such a choice.
    """
    key, _, value = override.lstrip("+~").removeprefix("hydra.sweeper.params.").partition("=")
    if (key in CHOICES or "/" in key) and re.search(r"/|\.\.|\$\{", value):
        raise RequestError(f"{override}: choose by name, without a path")


def spell_out(overrides: Iterable[str], variants: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    """Return overrides with `+SWEEP=VARIANT` replaced by what it stands for; a key that is typed beside it wins.

    Raises:
        RequestError: the sweep has no such variant.
    """
    typed = list(overrides)
    keys = {key_of(one) for one in typed}
    spelt: list[str] = []
    for one in typed:
        sweep, chosen = key_of(one), one.partition("=")[2].strip("'\"")
        if not one.startswith("+") or sweep not in variants:
            spelt.append(one)
        elif chosen in variants[sweep]:
            spelt += [other for other in variants[sweep][chosen] if key_of(other) not in keys]
        else:
            known = list(variants[sweep])
            listed = f"; known: {', '.join(known)}" if known else ": the sweep has no variants"
            raise RequestError(f"{sweep}={chosen} is not known{did_you_mean(chosen, known)}{listed}")
    return spelt


def _refuse_split(typed: list[str], number: int) -> None:
    """Refuse an argument that is the rest of a value with spaces: a shell makes several arguments of that."""
    one = typed[number]
    if "=" in one or one.startswith("~"):
        return
    begun = next((earlier for earlier in range(number - 1, -1, -1) if "=" in typed[earlier]), None)
    if begun is None:
        raise RequestError(f"{one!r} is not KEY=VALUE")
    whole = " ".join(typed[begun : number + 1])
    raise RequestError(f"{one!r} is not KEY=VALUE; if it belongs to the value before it, quote both: '{whole}'")


def _quoted(override: str) -> str:
    """Return an override with those parts of its value in quotes that the grammar would not take as they are."""
    key, is_pair, value = override.partition("=")
    if not is_pair or BARE.fullmatch(value) or "${" in value or re.search(r"['\"]", value):
        return override
    ends = ",[]{}" + (":" if "{" in value else "")
    parts = re.split(f"([{re.escape(ends)}])", value)
    if any(part.count("(") != part.count(")") for part in parts):  # a function: range(1,3)
        return override
    return f"{key}=" + "".join(part if part in ends or _is_bare(part) else quote(part) for part in parts)


def _is_bare(part: str) -> bool:
    is_call = re.fullmatch(
        r"\s*(glob|range|choice|interval|shuffle|sort|tag|int|float|str|bool|extend_list)\(.*\)", part
    )
    return BARE.fullmatch(part) is not None or is_call is not None


def quote(text: str) -> str:
    """Return a value that Hydra's grammar reads back as it is."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unreadable(override: str) -> str:
    key, is_pair, value = override.partition("=")
    if not is_pair:
        return f"{override!r} is not KEY=VALUE"
    if value.rstrip().endswith(",") or value.count("[") != value.count("]") or value.count("{") != value.count("}"):
        return f"{override} ends too early; if it has spaces, quote it for the shell: '{key}=[A, B]'"
    return f"{override} cannot be read; put the value in quotes: '{key}=\"{value.strip(chr(34))}\"'"
