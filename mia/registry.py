"""Extensions by name: the attacks, data sets, models and defences of this package, and those that others install.

A decorator on the extension's function fills the registry. The modules of our own folder are found by looking into it;
an installed package joins through an entry point whose name is the extension's and whose value is a module. Nothing is
imported before somebody asks for an entry; `installed` lists names without importing anything. A package that cannot
be imported hides nothing else: it is named in `broken`, and refused when it is asked for.
"""

import contextlib
import importlib
import pkgutil
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from mia.checks import RequestError, one_of

Entry = TypeVar("Entry")
PLAIN = (bool, int, float, str, Path)
"""What a config can hold, beside lists and dictionaries of it, choices of an `Enum`, and dataclasses."""


class ExtensionError(RuntimeError):
    """Code of another package failed: the message names it, the cause is what it raised."""


@contextlib.contextmanager
def naming(who: str, *passing: type[Exception]) -> Iterator[None]:
    """Name another package's code in what it raises.

    Args:
        who: The code, as messages begin with it; empty: none of another package is at work.
        passing: Errors that say enough by themselves, beside `RequestError`.

    Raises:
        ExtensionError: the code failed.
    """
    try:
        yield
    except Exception as error:
        if not who or isinstance(error, (RequestError, ExtensionError, MemoryError, *passing)):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ExtensionError(f"{who} failed: {reason}") from error


class Registry(Generic[Entry]):
    """Entries of one kind, by name, in the order of their names."""

    def __init__(self, key: str, package: str, group: str = "") -> None:
        """Describe the registry; nothing is imported.

        Args:
            key: The config key that takes the names, for errors: `attack`, `data` ...
            package: The package whose modules hold our own entries: `mia.attacks`.
            group: The group of entry points through which other packages join; empty: none can.
        """
        self.key, self.package, self.group = key, package, group
        self.broken: dict[str, str] = {}  # entry point -> why it could not be used, one line
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}
        self._is_loaded = False

    def add(self, name: str, entry: Entry, owner: str, options: type | None = None) -> None:
        """Enter an extension, from its decorator.

        Args:
            name: What it is called in configs.
            entry: What the registry gives for the name.
            owner: The module that the extension lives in.
            options: The dataclass of what can be set about it.

        Raises:
            RequestError: another module has taken the name, or a config cannot hold the options.
        """
        if options is not None:
            check_options(f"{self.key}={name}", options)
        taken = self._owners.setdefault(name, owner)
        if taken != owner:
            raise RequestError(f"{self.key}={name} of {owner} is taken by {taken}: give it another name")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> Entry:
        """Return the entry of a name.

        Raises:
            RequestError: no such name; the message lists the known ones.
        """
        self._load()
        if name not in self._entries and name in self.broken:
            raise RequestError(f"{self.key}={name}: {self.broken[name]}")
        return self._entries[one_of(self.key, name, self.names())]

    def __contains__(self, name: str) -> bool:
        """Tell whether there is an entry of this name."""
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self.names())

    def names(self) -> list[str]:
        """Return the names of all entries."""
        self._load()
        return sorted(self._entries)

    def items(self) -> list[tuple[str, Entry]]:
        """Return names and entries."""
        return [(name, self._entries[name]) for name in self.names()]

    def is_ours(self, name: str) -> bool:
        """Tell whether an entry belongs to this package."""
        self._load()
        return self._owners[name].startswith(f"{self.package}.")

    def package_of(self, name: str) -> str:
        """Return the package that an entry comes from."""
        self._load()
        return self._owners[name].partition(".")[0]

    def outside(self, name: str) -> str:
        """Return what an entry of another package is called in messages; of our own nothing."""
        return "" if self.is_ours(name) else f"{self.key}={name} of {self._owners[name]}"

    def refuse(self, name: str, reason: str) -> None:
        """Take an entry out again, since it cannot be used."""
        self.broken[name] = f"the installed package's {self._owners[name]} cannot be used: {reason}"
        del self._entries[name]

    @cached_property
    def points(self) -> list[EntryPoint]:
        """The entry points of other packages."""
        return sorted(entry_points(group=self.group)) if self.group else []

    def installed(self) -> list[str]:
        """Return the names that other packages add, as their entry points say; nothing is imported."""
        return [point.name for point in self.points]

    def _load(self) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True
        for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in self.points:
            try:
                point.load()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's module: it may raise anything
                reason = " ".join(str(error).split()) or type(error).__name__
                self.broken[point.name] = f"the installed package's {point.value} cannot be used: {reason}"
            else:
                if point.name not in self._entries:
                    self.broken[point.name] = f"the installed package's {point.value} registers no {point.name}"


def check_options(where: str, options: type) -> None:
    """Check that a config can hold an extension's options.

    Args:
        where: What the message begins with.
        options: The dataclass.

    Raises:
        RequestError: it is no dataclass; or a field has no default, or a type that no config can hold.
    """
    if not (isinstance(options, type) and is_dataclass(options)):
        raise RequestError(f"{where}: options={options!r} must be a dataclass")
    try:
        types_of = get_type_hints(options)
    except Exception as error:
        raise RequestError(f"{where}: a type of {options.__name__} cannot be found: {error}") from error
    for one in fields(options):
        if one.default is MISSING and one.default_factory is MISSING:
            raise RequestError(f"{where}: {options.__name__}.{one.name} must have a default")
        if not _can_be_set(types_of[one.name]):
            kind = getattr(types_of[one.name], "__name__", types_of[one.name])
            raise RequestError(f"{where}: {options.__name__}.{one.name} is of type {kind}, which no config can hold")


def _can_be_set(kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return all(_can_be_set(one) for one in inner)
    if origin in (list, dict, tuple):
        return all(one is Ellipsis or _can_be_set(one) for one in inner)
    if kind in (Any, type(None), list, dict, tuple):
        return True
    return isinstance(kind, type) and (issubclass(kind, (*PLAIN, Enum)) or is_dataclass(kind))
