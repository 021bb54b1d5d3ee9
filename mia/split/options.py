"""What can be set about the split (`split.*`)."""

from dataclasses import dataclass

from mia.checks import RequestError, at_least, one_of

PROTOCOLS = ("disjoint", "pool")


@dataclass
class SplitOptions:
    """The protocol, the number of training records of every model, and the number of models."""

    protocol: str = "disjoint"
    size: int = 300
    num_shadows: int = 10
    num_targets: int = 1
    overlap: bool = False  # disjoint only: shadows draw from all records, the target's among them

    def __post_init__(self) -> None:
        one_of("split.protocol", self.protocol, PROTOCOLS)
        at_least("split.size", self.size, 1)
        at_least("split.num_shadows", self.num_shadows, 1)
        at_least("split.num_targets", self.num_targets, 1)
        if self.overlap and self.protocol != "disjoint":
            raise RequestError(
                f"split.overlap=true needs split.protocol=disjoint: under {self.protocol} models share records anyway"
            )
        if self.num_targets > 1 and self.protocol != "pool":
            raise RequestError(
                f"split.num_targets={self.num_targets} needs split.protocol=pool, where any model can be the target"
            )
        if self.num_targets > self.num_shadows:
            raise RequestError(
                f"split.num_targets={self.num_targets} must be at most split.num_shadows={self.num_shadows}: "
                "every target is attacked with all other models of the pool"
            )
