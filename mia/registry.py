"""Extensions by name: the attacks, data sets, models and defences of this package, and those that others install.

A decorator on the extension's function fills the registry. The modules of our own folder are found by looking into it;
an installed package joins through an entry point whose name is the extension's and whose value is a module. Nothing is
imported before somebody asks for an entry; `installed` lists names without importing anything. A package that cannot
be imported hides nothing else: it is named in `broken`, and refused when it is asked for.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from mia.checks import RequestError, one_of

Entry = TypeVar("Entry")


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

    def add(self, name: str, entry: Entry, owner: str) -> None:
        """Enter an extension, from its decorator.

        Args:
            name: What it is called in configs.
            entry: What the registry gives for the name.
            owner: The module that the extension lives in.

        Raises:
            RequestError: another module has taken the name.
        """
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
            except Exception as error:  # noqa: BLE001 - somebody else's module: it may raise anything
                reason = " ".join(str(error).split()) or type(error).__name__
                self.broken[point.name] = f"the installed package's {point.value} cannot be used: {reason}"
            else:
                if point.name not in self._entries:
                    self.broken[point.name] = f"the installed package's {point.value} registers no {point.name}"
