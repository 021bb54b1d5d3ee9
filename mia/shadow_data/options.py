"""What can be set about the attacker's own records (`shadow_data.*`): one dataclass per kind, checked when built.

Takes plain values, gives checked ones. Imports nothing heavy.
"""

from dataclasses import dataclass, fields

from mia.checks import RequestError, at_least, fraction, one_of

CHANGES = ("flip", "redraw")


@dataclass
class ShadowDataOptions:
    """What all kinds have in common: a name."""

    name: str = ""

    def __post_init__(self) -> None:
        expected = next(str(item.default) for item in fields(self) if item.name == "name")
        if self.name != expected:
            raise RequestError(
                f"shadow_data.name={self.name!r} must stay {expected!r}; choose the kind with shadow_data=<name>"
            )


@dataclass
class RealOptions(ShadowDataOptions):
    """Shadows draw from the real records that the target leaves: nothing to set."""

    name: str = "real"


@dataclass
class NoisyOptions(ShadowDataOptions):
    """The real records that the target leaves, each with a share of its features changed."""

    name: str = "noisy"
    noise: float = 0.1  # share of the features of every record that is changed
    change: str = "flip"  # flip: another value of a bit or category; redraw: from the feature's marginal

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("shadow_data.noise", self.noise)
        one_of("shadow_data.change", self.change, CHANGES)


@dataclass
class MarginalOptions(ShadowDataOptions):
    """Each feature drawn on its own from its marginal; the target names the class."""

    name: str = "marginal"
    records: int | None = None  # null: as many as the target leaves, and no fewer than the shadows need

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.records is not None:
            at_least("shadow_data.records", self.records, 1)


@dataclass
class SynthesizedOptions(ShadowDataOptions):
    """Hill climbing on the target's confidence (Shokri et al. 2017, algorithm 1), without any real record."""

    name: str = "synthesized"
    records_per_class: int | None = None  # null: as many in all as the target leaves, and no fewer than shadows need
    k_max: int = 128  # features re-drawn in a proposal at first
    k_min: int = 4  # and at least
    rej_max: int = 10  # rejections in a row that halve the number of re-drawn features
    conf_min: float = 0.2  # confidence in the wanted class from which a record may be returned
    iter_max: int = 1000  # queries after which a climb fails
    attempts: int = 20  # climbs that fail in a row before a class is given up
    at_once: int = 4096  # records that climb side by side

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.records_per_class is not None:
            at_least("shadow_data.records_per_class", self.records_per_class, 1)
        at_least("shadow_data.k_min", self.k_min, 1)
        if self.k_max < self.k_min:
            raise RequestError(f"shadow_data.k_max={self.k_max!r} must be at least shadow_data.k_min={self.k_min!r}")
        at_least("shadow_data.rej_max", self.rej_max, 0)
        fraction("shadow_data.conf_min", self.conf_min, below_one=True)
        at_least("shadow_data.iter_max", self.iter_max, 1)
        at_least("shadow_data.attempts", self.attempts, 1)
        at_least("shadow_data.at_once", self.at_once, 1)
