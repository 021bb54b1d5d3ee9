"""Sweep files are data, whoever wrote them.

Takes the name that a request asks for; gives what the file says, checked. A file may choose from our config groups, set
our own keys, name variants, and say what is swept, by which of our sweepers and which launcher. Everything else is
refused: whatever could name code, read the environment, send runs elsewhere, or make a reader hang.
"""

import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mia.bounded_yaml import read_bounded
from mia.checks import RequestError, did_you_mean
from mia.limits import limit_field, spell_limits
from mia.overrides import quote, refuse_code
from mia.sweep_options import SWEEPERS

MOST_BYTES = 256 * 1024
"""A file may be so large: thousands of variants."""
NOT_IN_FILES = ("tracking",)
"""Where runs go is for the person who types the command."""
LAUNCHER_OPTIONS = (
    "n_jobs", "timeout", "timeout_min", "cpus_per_task", "gpus_per_node", "gpus_per_task", "tasks_per_node", "mem_gb",
    "mem_per_cpu", "mem_per_gpu", "nodes", "partition", "qos", "account", "constraint", "array_parallelism",
    "max_num_timeout", "signal_delay_s",
)  # fmt: skip
CHOICE = re.compile(r"(?:override )?/?(?P<group>hydra/launcher|hydra/sweeper|[a-z_]+)")
NAME = re.compile(r"[\w-][\w.-]*")
PLAIN_TEXT = re.compile(r"[\w .,:;=+/*-]*")


@dataclass(frozen=True)
class SweepFile:
    """What a sweep file says."""

    name: str
    question: str = ""  # its header
    node: dict[str, Any] = field(default_factory=dict)  # for Hydra: defaults, values, and what is swept
    variants: dict[str, list[str]] = field(default_factory=dict)  # name -> overrides as one would type them
    sweeper: tuple[str, ...] = ()  # overrides: which sweeper, and its options but for what is swept


def sweep_paths(home: Path) -> dict[str, Path]:
    """Return the sweep files by name: the project's, and those in `sweeps/` of the current folder, which win."""
    folders = dict.fromkeys([home / "sweeps", Path.cwd() / "sweeps"])
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def asked_for(overrides: Iterable[str], paths: Iterable[str], keys: Collection[str] = ()) -> list[str]:
    """Return the names of the sweep files that overrides name: `+sweeps=NAME`, and `+NAME=VARIANT`.

    Args:
        overrides: As `tidy` gives them.
        paths: The names of the files that there are.
        keys: Config keys and groups, which are never the name of a sweep.
    """
    found = []
    for one in overrides:
        key, _, value = one.lstrip("+").partition("=")
        name = value.strip("'\" ") if key == "sweeps" else key
        if one.startswith("+") and name in paths and name not in found and (key == "sweeps" or name not in keys):
            found.append(name)
    return found


def read_sweep(name: str, home: Path, keys: Iterable[str], groups: Iterable[str]) -> SweepFile:
    """Return a sweep file; one that stands in the place of the project's own is said on stderr.

    Args:
        name: The file's name without its ending.
        home: The folder that holds the project's `sweeps/`.
        keys: The top-level keys of a config.
        groups: The config groups.

    Raises:
        RequestError: the file cannot be read, or holds what a sweep file may not.
    """
    path = sweep_paths(home)[name]
    if path.parent.resolve() != (home / "sweeps").resolve() and (home / "sweeps" / path.name).exists():
        print(f"mia: {path} stands in the place of the project's own sweep {name}", file=sys.stderr)
    try:
        text = _text(path)
        found = read_bounded(text)
        if not isinstance(found, dict):
            raise RequestError("must hold keys and values")
        _refuse_open(found)
        return _checked(name, header(text), found, _Rules(set(keys) - set(NOT_IN_FILES), set(groups), name))
    except RequestError as error:
        raise RequestError(f"sweeps/{name}.yaml: {error}") from error


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe or a device would never end
            raise RequestError("is not a file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise RequestError(f"is larger than {MOST_BYTES // 1024} KiB, too large for a sweep file")
        return content.decode("utf-8")
    except OSError as error:
        raise RequestError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RequestError("is not UTF-8 text") from error


def header(text: str) -> str:
    """Return the comment at the top of a sweep file, a line for each paragraph: indented lines go on with the last."""
    paragraphs: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.removeprefix("#")
        if "@package" in words:
            continue
        if paragraphs and words.startswith("  "):
            paragraphs[-1] += f" {words.strip()}"
        else:
            paragraphs.append(words.strip())
    return "\n".join(paragraphs).strip()


@dataclass(frozen=True)
class _Rules:
    """What a file may set and choose."""

    keys: set[str]
    groups: set[str]
    name: str

    def check_key(self, key: str) -> None:
        """Refuse a key that is not ours."""
        root = re.split(r"[./]", key)[0]
        if root in NOT_IN_FILES or root == "hydra":
            raise RequestError(f"{key} is not for a sweep file; give it on the command line")
        if root not in self.keys | self.groups | {self.name}:
            raise RequestError(f"{key} is not a config key{did_you_mean(root, self.keys)}")
        if not re.fullmatch(r"[a-zA-Z]\w*(\.[a-zA-Z0-9]\w*)*", key):
            raise RequestError(f"{key} is not a config key")

    def check_choice(self, element: Any) -> None:
        """Refuse an element of the defaults list that is not a choice from our groups."""
        if element == "_self_":
            return
        pairs = list(element.items()) if isinstance(element, dict) else []
        found = CHOICE.fullmatch(str(pairs[0][0])) if len(pairs) == 1 else None
        known = (self.groups - set(NOT_IN_FILES)) | {"hydra/launcher", "hydra/sweeper"}
        chosen = pairs[0][1] if pairs else None
        names = chosen if isinstance(chosen, list) and chosen else [chosen]
        is_name = all(isinstance(one, str) and NAME.fullmatch(one) for one in names)
        if found is None or found["group"] not in known or not is_name:
            raise RequestError(f"defaults: {element} is not a choice; write '- override /GROUP: NAME' or '- _self_'")


def _checked(name: str, question: str, found: dict[Any, Any], rules: _Rules) -> SweepFile:
    """Return the file's content, part by part."""
    node: dict[str, Any] = {}
    variants: dict[str, list[str]] = {}
    own: list[str] = []
    for key, value in _limits_spelt(found).items():
        if key == "defaults":
            elements = value if isinstance(value, list) else [value]
            for element in elements:
                rules.check_choice(element)
            chosen = [one for one in elements if one != "_self_" and next(iter(one)).endswith("hydra/sweeper")]
            # our config names a sweeper, and Hydra lets no file below it choose another
            own += [f"hydra/sweeper={next(iter(one.values()))}" for one in chosen[-1:]]
            node[key] = [one for one in elements if one not in chosen]
        elif key == "variants":
            variants = _variants(value, rules)
        elif key == "hydra":
            hydra = _hydra(value, rules)
            options = dict(hydra.get("sweeper", {}))
            node[key] = hydra
            hydra["sweeper"] = {name: options.pop(name) for name in ("params",) if name in options}
            own += [f"hydra.sweeper.{name}={_spelt(one)}" for name, one in options.items()]
        else:
            rules.check_key(str(key))
            _refuse_hidden(str(key), value)
            if key in rules.groups and not isinstance(value, dict):
                raise RequestError(f"{key}: {value} sets no key; to choose, write 'defaults: [override /{key}: NAME]'")
            node[str(key)] = value
    if variants:
        sweeper = node.setdefault("hydra", {}).setdefault("sweeper", {})
        sweeper["params"] = {**sweeper.get("params", {}), f"+{name}": ",".join(variants)}
    return SweepFile(name, question, node, variants, tuple(own))


def _limits_spelt(found: dict[Any, Any]) -> dict[Any, Any]:
    """Return what a file says, with limits called as their fields are: a dot divides keys elsewhere."""
    if isinstance(limits := found.get("limit"), dict):
        found = found | {"limit": {limit_field(str(name)): value for name, value in limits.items()}}
    hydra: Any = found.get("hydra")
    sweeper: Any = hydra.get("sweeper") if isinstance(hydra, dict) else None
    if isinstance(sweeper, dict) and isinstance(sweeper.get("params"), dict):
        params = {spell_limits([str(name)])[0]: value for name, value in sweeper["params"].items()}
        found = found | {"hydra": {**hydra, "sweeper": {**sweeper, "params": params}}}
    return found


def _spelt(value: Any) -> str:
    """Return a plain value as Hydra's grammar reads it."""
    if isinstance(value, list):
        return f"[{','.join(map(_spelt, value))}]"
    return quote(value) if isinstance(value, str) else "null" if value is None else str(value).lower()


def _variants(found: Any, rules: _Rules) -> dict[str, list[str]]:
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise RequestError("variants must map names to overrides, NAME: 'KEY=VALUE KEY=VALUE'")
    variants = {str(name): spell_limits(text.split()) for name, text in found.items()}
    for name, overrides in variants.items():
        if not NAME.fullmatch(name):
            raise RequestError(f"variants: {name!r} must be a name of letters, digits, '.', '-' and '_'")
        for one in overrides:
            key, is_pair, value = one.partition("=")
            if not is_pair:
                raise RequestError(f"variants: {name}: {one!r} is not KEY=VALUE")
            rules.check_key(key)
            refuse_code(one)
            if key in rules.groups and not re.fullmatch(r"[\w.-]+|\[[\w.,-]*\]", value):
                raise RequestError(f"variants: {name}: {one} must choose a name")
            _refuse_hidden(key, read_bounded(f"value: {value}"))
    return variants


def _hydra(found: Any, rules: _Rules) -> dict[str, Any]:
    """Return what a file says of the sweeper and of the launcher's plain options."""
    for part, key, value in _hydra_values(found):
        if (part, key) == ("sweeper", "params"):
            if not isinstance(value, dict):
                raise RequestError("hydra.sweeper.params must map keys to values")
            for name, values in value.items():
                rules.check_key(re.sub(r"^\+{1,2}", "", str(name)))
                if not isinstance(values, str | int | float | bool | None):
                    raise RequestError(f"hydra.sweeper.params: {name} must list values, such as 1,2,3")
                refuse_code(f"{name}={values}")
        elif part == "sweeper" and key in _sweeper_options():
            _refuse_hidden(f"hydra.sweeper.{key}", value)
        elif not (part == "launcher" and key in LAUNCHER_OPTIONS and _is_plain(value)):
            raise RequestError(f"hydra.{part}.{key} is not for a sweep file; give it on the command line")
    return dict(found)


def _sweeper_options() -> set[str]:
    return {one.name for options in SWEEPERS.values() for one in fields(options)}


def _hydra_values(found: Any) -> Iterator[tuple[str, str, Any]]:
    parts = found.items() if isinstance(found, dict) else [("", found)]
    for part, values in parts:
        if part not in ("sweeper", "launcher") or not isinstance(values, dict):
            raise RequestError(f"hydra.{part} is not for a sweep file; it may say hydra.sweeper and hydra.launcher")
        for key, value in values.items():
            yield part, str(key), value


def _is_plain(value: Any) -> bool:
    return PLAIN_TEXT.fullmatch(value) is not None if isinstance(value, str) else isinstance(value, int | float | None)


def _refuse_hidden(key: str, value: Any) -> None:
    """Refuse keys such as _target_, which mean something to Hydra, at any depth."""
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        if isinstance(value, dict) and not re.fullmatch(r"[a-zA-Z0-9]\w*", str(name)):
            raise RequestError(f"{key}.{name} is not a config key")
        _refuse_hidden(f"{key}.{name}", inner)


def _refuse_open(value: Any, key: str = "") -> None:
    """Refuse OmegaConf's mark of a missing value: merged into a config, it would keep the default and say nothing."""
    if value == "???":
        raise RequestError(f"{key}: ??? is no value; write one, or leave the key out")
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_open(inner, f"{key}.{name}".lstrip("."))
