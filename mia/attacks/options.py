"""What can be set about the attacks (`attack.<name>.*`): one dataclass per attack, and `AttackOptions` with them all.

Takes values from a config, checks their ranges when built. Imports nothing slow, since the command's help needs it.
"""

from dataclasses import dataclass, field, fields

from mia.checks import RequestError, at_least, fraction, one_of, positive

GLOBAL_BELOW = 64
"""Shadows below which one global variance beats one per record (Carlini et al. 2022, section VI)."""
MOST_QUERIES = 18
"""Nine shifts of a picture, each plain and mirrored."""


# --- attacks that look at the target's answers, with thresholds from the shadows -------------------------------------


@dataclass
class GapOptions:
    """Member if and only if classified correctly (Yeom et al. 2018): nothing to set."""


@dataclass
class LossOptions:
    """Threshold on the log probability of the true class (Yeom et al. 2018): one for all classes, as in the paper."""

    per_class: bool = False


@dataclass
class ConfidenceOptions:
    """Threshold on the probability of the true class (Song & Mittal 2021)."""

    per_class: bool = True


@dataclass
class EntropyOptions:
    """Threshold on minus the entropy of the answer (Song & Mittal 2021)."""

    per_class: bool = True


@dataclass
class ModifiedEntropyOptions:
    """Threshold on minus the modified entropy, which knows the true class (Song & Mittal 2021)."""

    per_class: bool = True


@dataclass
class LabelOnlyOptions:
    """Robustness of the predicted label to noise, flips and shifts (Choquette-Choo et al. 2021)."""

    queries: int = 20  # questions per record and model, the record itself among them
    noise: float = 0.1  # deviation of the noise in units of a feature's own; for bits, the share flipped
    shift: int = 1  # pixels that pictures move by
    stand_ins: int = 2  # shadows that are asked too, so that a threshold can be learnt

    def __post_init__(self) -> None:
        at_least("attack.label_only.queries", self.queries, 2)
        positive("attack.label_only.noise", self.noise)
        at_least("attack.label_only.shift", self.shift, 1)
        at_least("attack.label_only.stand_ins", self.stand_ins, 0)


# --- attacks that compare the target with shadows record by record ---------------------------------------------------


@dataclass
class CalibrationOptions:
    """Log probability less its mean over OUT shadows (Watson et al. 2022): nothing to set."""


def _check_lira(name: str, variance: str, location: str, queries: int, shift: int) -> None:
    one_of(f"attack.{name}.variance", variance, ("auto", "per_record", "global"))
    one_of(f"attack.{name}.location", location, ("mean", "median"))
    at_least(f"attack.{name}.queries", queries, 1)
    if queries > MOST_QUERIES:
        raise RequestError(
            f"attack.{name}.queries={queries} must be at most {MOST_QUERIES}: nine shifts, mirrored or not"
        )
    at_least(f"attack.{name}.shift", shift, 1)


@dataclass
class LiraOnlineOptions:
    """Likelihood ratio of Gaussians fitted to IN and OUT shadows (Carlini et al. 2022)."""

    variance: str = "auto"  # per_record, global, or auto: global below 64 shadows
    location: str = "mean"  # mean or median
    queries: int = 1  # views of a picture: itself, mirrored, shifted ...
    shift: int = 1  # pixels

    def __post_init__(self) -> None:
        _check_lira("lira_online", self.variance, self.location, self.queries, self.shift)


@dataclass
class LiraOfflineOptions:
    """How unusual the answer would be for a model that never saw the record (Carlini et al. 2022)."""

    variance: str = "auto"  # per_record, global, or auto: global below 64 shadows
    location: str = "mean"  # mean or median
    offline: str = "one_sided"  # log P(OUT answer <= this one), as in the paper; density: minus log density under OUT
    queries: int = 1  # views of a picture: itself, mirrored, shifted ...
    shift: int = 1  # pixels

    def __post_init__(self) -> None:
        _check_lira("lira_offline", self.variance, self.location, self.queries, self.shift)
        one_of("attack.lira_offline.offline", self.offline, ("one_sided", "density"))


@dataclass
class RmiaOnlineOptions:
    """Share of population records that the record's likelihood ratio dominates (Zarifzadeh et al. 2024)."""

    gamma: float = 1.0  # by what factor

    def __post_init__(self) -> None:
        positive("attack.rmia_online.gamma", self.gamma)


@dataclass
class RmiaOfflineOptions:
    """The same, with the IN models' mean guessed from the OUT models' (Zarifzadeh et al. 2024, appendix B)."""

    gamma: float = 1.0  # by what factor
    a: float = 0.3  # mean over IN models is taken as a x mean over OUT models + 1 - a

    def __post_init__(self) -> None:
        positive("attack.rmia_offline.gamma", self.gamma)
        fraction("attack.rmia_offline.a", self.a)


# --- shadow classifiers (Shokri et al. 2017): begin ------------------------------------------------------------------


@dataclass
class ShadowSvmOptions:
    """A support vector machine with an RBF kernel, fitted on the shadows' answers."""

    grid: str = "study"  # C and gamma to choose from: study, wide
    search: str = "full"  # full: every pair on all rows
    features: str = "probabilities"  # probabilities, top_k (sorted) or logits
    per_class: bool = True
    folds: int = 5


@dataclass
class ShadowMlpOptions:
    """One hidden layer of 64 ReLU units, as in the paper, fitted on the shadows' answers."""

    hidden: list[int] = field(default_factory=lambda: [64])
    features: str = "probabilities"
    per_class: bool = True


@dataclass
class ShadowForestOptions:
    """A random forest, fitted on the shadows' answers."""

    features: str = "probabilities"
    per_class: bool = True


@dataclass
class ShadowLogisticOptions:
    """A logistic regression, fitted on the shadows' answers."""

    features: str = "probabilities"
    per_class: bool = True


@dataclass
class ShadowBoostingOptions:
    """Boosted trees, fitted on the shadows' answers."""

    features: str = "probabilities"
    per_class: bool = True


# --- shadow classifiers: end -----------------------------------------------------------------------------------------


@dataclass
class AttackOptions:
    """The attacks to run: those whose options are given."""

    prior: float = 0.5  # share of members that precision is stated for
    shadow_svm: ShadowSvmOptions | None = None
    shadow_mlp: ShadowMlpOptions | None = None
    shadow_forest: ShadowForestOptions | None = None
    shadow_logistic: ShadowLogisticOptions | None = None
    shadow_boosting: ShadowBoostingOptions | None = None
    gap: GapOptions | None = None
    loss: LossOptions | None = None
    confidence: ConfidenceOptions | None = None
    entropy: EntropyOptions | None = None
    modified_entropy: ModifiedEntropyOptions | None = None
    calibration: CalibrationOptions | None = None
    lira_online: LiraOnlineOptions | None = None
    lira_offline: LiraOfflineOptions | None = None
    rmia_online: RmiaOnlineOptions | None = None
    rmia_offline: RmiaOfflineOptions | None = None
    label_only: LabelOnlyOptions | None = None

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise RequestError(f"attack.prior={self.prior!r} must lie between 0 and 1, both excluded")

    def chosen(self) -> dict[str, object]:
        """Return the options of the attacks to run, by attack name."""
        named = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "prior"}
        return {name: options for name, options in named.items() if options is not None}
