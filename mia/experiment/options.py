"""What makes an experiment: the options of its stages, and what the attacker knows. Imports nothing heavy."""

from dataclasses import dataclass, field

from mia.attacks.options import AttackOptions
from mia.checks import RequestError, at_least
from mia.data.options import DataOptions
from mia.defences import setting
from mia.defences.options import DefenceOptions, NoneOptions
from mia.models.options import ModelOptions
from mia.settings import Setting
from mia.shadow_data.options import RealOptions, ShadowDataOptions
from mia.split import SplitOptions
from mia.train.options import EngineOptions, TrainOptions


@dataclass
class AttackerOptions:
    """What the attacker knows of the defence: an adaptive one trains and queries shadows behind the same defence."""

    adaptive: bool = True


@dataclass
class BoundOptions:
    """On what terms bounds on epsilon are given (`split=canary`)."""

    delta: float | None = None  # of the guarantee that they test; null: that of training
    confidence: float = 0.95  # of the bounds

    def __post_init__(self) -> None:
        if self.delta is not None and not 0 <= self.delta < 1:
            raise RequestError(f"audit.delta={self.delta!r} must lie in [0, 1)")
        if not 0.5 < self.confidence < 1:
            raise RequestError(f"audit.confidence={self.confidence!r} must lie between 0.5 and 1, both excluded")


@dataclass
class ExperimentOptions:
    """All that can change the numbers, and the engine, which cannot."""

    seed: int
    data: DataOptions
    split: SplitOptions
    model: ModelOptions
    train: TrainOptions
    attack: AttackOptions
    defence: DefenceOptions = field(default_factory=NoneOptions)
    attacker: AttackerOptions = field(default_factory=AttackerOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    shadow_data: ShadowDataOptions = field(default_factory=RealOptions)
    audit: BoundOptions = field(default_factory=BoundOptions)

    def __post_init__(self) -> None:
        self.attack = self.attack.adding("gap")  # the simplest attack stands beside every other
        at_least("seed", self.seed, 0)
        if self.seed >= 2**32:
            raise RequestError(f"seed={self.seed!r} must be below 2**32")
        if self.split.num_targets > 1 and not self.attacker.adaptive:
            raise RequestError(
                f"split.num_targets={self.split.num_targets} needs attacker.adaptive=true: "
                "each model is a target in turn and a shadow otherwise"
            )

        if self.shadow_data.name != "real" and self.split.protocol != "disjoint":
            raise RequestError(
                f"shadow_data={self.shadow_data.name} needs split.protocol=disjoint: "
                f"under {self.split.protocol} the shadows train on the target's own records"
            )
        if self.shadow_data.name != "real" and self.split.overlap:
            raise RequestError(
                f"shadow_data={self.shadow_data.name} needs split.overlap=false: the attacker's own records are never "
                "the target's, and 2 x split.size real ones are enough"
            )

    def settings(self) -> list[Setting]:
        """Return the defences that are on: those in training, then the one on the output."""
        on_output = setting(self.defence)
        return [*self.train.settings(), *([on_output] if on_output else [])]

    @property
    def is_defended(self) -> bool:
        """Whether any defence is on: otherwise no attacker could know more than another."""
        return bool(self.settings())

    @property
    def shadow_train(self) -> TrainOptions:
        """How the attacker trains shadows: as the target is trained, or without its defences."""
        return self.train if self.attacker.adaptive else self.train.undefended()

    @property
    def shadow_defence(self) -> DefenceOptions:
        """The output defence that shadows answer through."""
        return self.defence if self.attacker.adaptive else NoneOptions()
