"""Who watches an experiment: told of stages and progress, never asked."""

from typing import Any, Protocol


class Observer(Protocol):
    """Receives what a person may want to see while an experiment runs."""

    def stage(self, name: str) -> None:
        """A stage begins: data, train, signals, attack or metrics."""
        ...

    def waiting(self, fingerprint: str) -> None:
        """Models are missing: this pool's lock is about to be taken."""
        ...

    def training(self, progress: Any) -> None:
        """Training moved on."""
        ...

    def saved(self, model: int) -> None:
        """A model is trained and stored."""
        ...

    def making(self, done: int, total: int) -> None:
        """The attacker made `done` of `total` records."""
        ...

    def attacking(self, name: str, done: int, total: int) -> None:
        """An attack made `done` of `total` fits."""
        ...


class Silent:
    """An observer that looks away."""

    def stage(self, name: str) -> None:
        """Do nothing."""

    def waiting(self, fingerprint: str) -> None:
        """Do nothing."""

    def training(self, progress: Any) -> None:
        """Do nothing."""

    def saved(self, model: int) -> None:
        """Do nothing."""

    def making(self, done: int, total: int) -> None:
        """Do nothing."""

    def attacking(self, name: str, done: int, total: int) -> None:
        """Do nothing."""
