"""What can be chosen about a model: one dataclass per kind, checked when built. Imports nothing heavy."""

from dataclasses import dataclass, field

from mia.checks import RequestError, at_least, one_of

ACTIVATIONS = ("tanh", "relu", "gelu")
NORMS = ("group", "batch")


@dataclass
class ModelOptions:
    """A model by name; the subclasses hold what each kind lets one choose."""

    name: str


@dataclass
class CnnOptions(ModelOptions):
    """The study's convolutional network: 160,554 parameters on 32x32x3 pictures of 10 classes."""

    name: str = "cnn"


@dataclass
class MlpOptions(ModelOptions):
    """Dense layers with one activation, then one dense layer of logits."""

    name: str = "mlp"
    hidden: list[int] = field(default_factory=lambda: [128])  # width of each hidden layer; empty: softmax regression
    activation: str = "tanh"

    def __post_init__(self) -> None:
        for width in self.hidden:
            at_least("model.hidden", width, 1)
        one_of("model.activation", self.activation, ACTIVATIONS)


@dataclass
class WideResnetOptions(ModelOptions):
    """A wide residual network (Zagoruyko and Komodakis 2016), WRN-depth-width."""

    name: str = "wide_resnet"
    depth: int = 28  # 6 k + 4
    width: int = 2
    norm: str = "group"  # batch: running statistics, so that a record's logits never depend on others in evaluation

    def __post_init__(self) -> None:
        at_least("model.width", self.width, 1)
        one_of("model.norm", self.norm, NORMS)
        if self.depth < 10 or (self.depth - 4) % 6:
            raise RequestError(f"model.depth={self.depth!r} must be 10, 16, 22, 28 ... (6 k + 4)")


def check_fits(options: ModelOptions, shape: tuple[int, ...]) -> None:
    """Check that a model can take records of this shape.

    Raises:
        RequestError: the model takes pictures and the records are none.
    """
    if not isinstance(options, MlpOptions) and len(shape) != 3:
        wanted = "pictures [height width channels]"
        raise RequestError(f"model={options.name} takes {wanted}, not records of shape {list(shape)}; use model=mlp")
