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
class ShadowClassifierOptions:
    """What every classifier fitted on the shadows' own records has: what it sees, and of how many rows."""

    features: str = "probabilities"  # probabilities, top_k (the largest, sorted) or logits
    top_k: int = 3  # of features=top_k
    per_class: bool = True  # a model per true class; false: one for all, which sees the true class's value too
    max_rows: int = 40_000  # a model is fitted on at most so many: whole shadows, as many as fit; 0: on all

    def _check(self, name: str) -> None:
        one_of(f"attack.{name}.features", self.features, ("probabilities", "top_k", "logits"))
        at_least(f"attack.{name}.top_k", self.top_k, 1)
        at_least(f"attack.{name}.max_rows", self.max_rows, 0)
        if 0 < self.max_rows < 100:
            raise RequestError(f"attack.{name}.max_rows={self.max_rows} must be 0 (all rows) or at least 100")


@dataclass
class ShadowSvmOptions(ShadowClassifierOptions):
    """A support vector machine with an RBF kernel; C and gamma by cross-validation that never splits a shadow."""

    grid: str = "study"  # C and gamma to choose from: study (0.1 to 10, 0.001 to 0.1) or wide (to 1000 and 100)
    search: str = "auto"  # full: every pair on all rows; halving; auto: halving where a class has over 6,000 rows
    folds: int = 5

    def __post_init__(self) -> None:
        self._check("shadow_svm")
        one_of("attack.shadow_svm.grid", self.grid, ("study", "wide"))
        one_of("attack.shadow_svm.search", self.search, ("full", "halving", "auto"))
        at_least("attack.shadow_svm.folds", self.folds, 2)


@dataclass
class ShadowMlpOptions(ShadowClassifierOptions):
    """Hidden layers of ReLU units; one of 64 in the paper."""

    hidden: list[int] = field(default_factory=lambda: [64])
    epochs: int = 200  # at most; fewer where the loss no longer falls
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        self._check("shadow_mlp")
        if not self.hidden:
            raise RequestError("attack.shadow_mlp.hidden=[] must name at least one layer, such as [64]")
        for width in self.hidden:
            at_least("attack.shadow_mlp.hidden", width, 1)
        at_least("attack.shadow_mlp.epochs", self.epochs, 1)
        positive("attack.shadow_mlp.learning_rate", self.learning_rate)


@dataclass
class ShadowForestOptions(ShadowClassifierOptions):
    """A random forest."""

    trees: int = 100
    min_leaf: int = 5  # rows in a leaf, at least

    def __post_init__(self) -> None:
        self._check("shadow_forest")
        at_least("attack.shadow_forest.trees", self.trees, 1)
        at_least("attack.shadow_forest.min_leaf", self.min_leaf, 1)


@dataclass
class ShadowLogisticOptions(ShadowClassifierOptions):
    """A logistic regression."""

    c: float = 1.0  # inverse strength of its L2 penalty

    def __post_init__(self) -> None:
        self._check("shadow_logistic")
        positive("attack.shadow_logistic.c", self.c)


@dataclass
class ShadowBoostingOptions(ShadowClassifierOptions):
    """Gradient-boosted trees on binned features."""

    rounds: int = 100
    learning_rate: float = 0.1
    max_leaves: int = 31

    def __post_init__(self) -> None:
        self._check("shadow_boosting")
        at_least("attack.shadow_boosting.rounds", self.rounds, 1)
        positive("attack.shadow_boosting.learning_rate", self.learning_rate)
        at_least("attack.shadow_boosting.max_leaves", self.max_leaves, 2)


# --- shadow classifiers: end -----------------------------------------------------------------------------------------


@dataclass
class AttackOptions:
    """The attacks to run: those whose options are given."""

    prior: float = 0.5  # share of members that precision is stated for
    growth: bool = False  # attack with the first 1, 2, 4 ... shadows too, for a curve
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
        named = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("prior", "growth")}
        return {name: options for name, options in named.items() if options is not None}
