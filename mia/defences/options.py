"""What can be set about the output defences (`defence.*`): one dataclass per defence, checked when built.

Every defence has a neutral strength, at which the model's logits pass untouched, bit for bit: 0 for each, but 1 for the
temperature. Imports nothing slow, since the command's help needs it.
"""

from dataclasses import dataclass

from mia.checks import at_least, non_negative, one_of, positive

NOISES = ("gaussian", "laplace")


@dataclass
class DefenceOptions:
    """What all output defences have: a name."""

    name: str = "none"


@dataclass
class NoneOptions(DefenceOptions):
    """No output defence."""

    name: str = "none"


@dataclass
class TopKOptions(DefenceOptions):
    """Give the k largest probabilities and nothing else (Shokri et al. 2017)."""

    name: str = "top_k"
    k: int = 3  # 0, or as many as there are classes: all of them

    def __post_init__(self) -> None:
        """Check the number."""
        at_least("defence.k", self.k, 0)


@dataclass
class RoundingOptions(DefenceOptions):
    """Round the probabilities (Shokri et al. 2017)."""

    name: str = "rounding"
    digits: int = 3  # behind the decimal point; 0: no rounding

    def __post_init__(self) -> None:
        """Check the number."""
        at_least("defence.digits", self.digits, 0)


@dataclass
class TemperatureOptions(DefenceOptions):
    """Divide the logits by a temperature (Shokri et al. 2017)."""

    name: str = "temperature"
    temperature: float = 5.0  # 1: no change; higher is flatter

    def __post_init__(self) -> None:
        """Check the number."""
        positive("defence.temperature", self.temperature)


@dataclass
class LabelOnlyOptions(DefenceOptions):
    """Give the predicted class and nothing else: nothing to set."""

    name: str = "label_only"


@dataclass
class NoiseOptions(DefenceOptions):
    """Add independent noise to every probability."""

    name: str = "noise"
    distribution: str = "gaussian"  # or "laplace"
    scale: float = 0.1  # standard deviation, or Laplace's b; 0: no noise

    def __post_init__(self) -> None:
        """Check the name and the number."""
        one_of("defence.distribution", self.distribution, NOISES)
        non_negative("defence.scale", self.scale)


@dataclass
class MemguardOptions(DefenceOptions):
    """Noise that misleads a membership classifier and keeps the predicted class (MemGuard, Jia et al. 2019)."""

    name: str = "memguard"
    epsilon: float = 1.0  # budget: the expected sum of absolute changes to a record's probabilities; 0: no noise

    def __post_init__(self) -> None:
        """Check the number."""
        non_negative("defence.epsilon", self.epsilon)
