"""What can be set about a data set: one dataclass per loader, checked when it is built.

Takes plain values, gives checked ones. Never opens a file and never imports anything heavy.
"""

from dataclasses import dataclass, field, fields

from mia import checks
from mia.checks import RequestError

PURCHASE_CLASSES = (2, 10, 20, 50, 100)


@dataclass
class DataOptions:
    """What all data sets have in common: a name, which chooses the loader."""

    name: str = ""

    def __post_init__(self) -> None:
        expected = next(str(item.default) for item in fields(self) if item.name == "name")
        if self.name != expected:
            raise RequestError(f"data.name={self.name!r} must stay {expected!r}; choose the data set with data=<name>")


@dataclass
class DigitsOptions(DataOptions):
    """scikit-learn's digits: 1,797 grey pictures of 8x8 pixels, 10 classes."""

    name: str = "digits"


@dataclass
class OfficialOptions(DataOptions):
    """A data set that its authors publish as files, found on disk or downloaded."""

    root: str | None = None  # a folder that holds the official files; else $MIA_DATA_DIR/<name>/, else the cache folder

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is not None and not self.root.strip():
            raise RequestError(f"data.root={self.root!r} must be a folder, or null")


@dataclass
class Cifar10Options(OfficialOptions):
    """CIFAR-10: 60,000 colour pictures of 32x32 pixels, 10 classes."""

    name: str = "cifar10"


@dataclass
class Cifar100Options(OfficialOptions):
    """CIFAR-100: 60,000 colour pictures of 32x32 pixels, 100 classes."""

    name: str = "cifar100"


@dataclass
class MnistOptions(OfficialOptions):
    """MNIST: 70,000 grey pictures of 28x28 pixels, 10 classes."""

    name: str = "mnist"


@dataclass
class AdultOptions(OfficialOptions):
    """UCI Adult (census income): 48,842 records of 14 features, 2 classes."""

    name: str = "adult"


@dataclass
class LocationsOptions(OfficialOptions):
    """Locations: 5,010 records of 446 bits, 30 classes."""

    name: str = "locations"


@dataclass
class PurchaseOptions(OfficialOptions):
    """Purchase: 197,324 records of 600 bits, 100 classes or fewer."""

    name: str = "purchase"
    classes: int = 100  # 100: the labels in the file; 2, 10, 20, 50: clusters of the purchases

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes not in PURCHASE_CLASSES:
            known = ", ".join(map(str, PURCHASE_CLASSES))
            raise RequestError(f"data.classes={self.classes!r} must be one of {known}")


@dataclass
class TexasOptions(OfficialOptions):
    """Texas hospital stays: 67,330 records of 6,170 bits, 100 classes."""

    name: str = "texas"


@dataclass
class ArraysOptions(DataOptions):
    """An .npz file with `x` and `y`."""

    name: str = "arrays"
    path: str = ""
    scale: float | None = None  # a model sees x * scale; null: 1/255 for uint8 pictures, else 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_path(self.path, "an .npz file with the arrays x and y")
        if self.scale is not None:
            checks.positive("data.scale", self.scale)


@dataclass
class ImagesOptions(DataOptions):
    """A folder, zip or tar of `.../<class>/<file>` pictures."""

    name: str = "images"
    path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_path(self.path, "a folder, zip or tar of <class>/<file> pictures")


@dataclass
class TableOptions(DataOptions):
    """A CSV or Parquet file with one column of labels."""

    name: str = "table"
    path: str = ""
    label: str = ""  # the column that holds the class
    categories: list[str] = field(default_factory=list)  # columns of numbers that are codes, not quantities
    drop: list[str] = field(default_factory=list)  # columns to leave out, such as identifiers
    missing: str = "error"  # missing numbers: "error", or "indicator" (the mean, and a bit that says so)

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_path(self.path, "a .csv or .parquet file")
        if not self.label:
            raise RequestError(f"data.label={self.label!r} must name the column that holds the class")
        checks.one_of("data.missing", self.missing, ["error", "indicator"])
        for key, columns in (("categories", self.categories), ("drop", self.drop)):
            if self.label in columns:
                raise RequestError(f"data.{key}={columns!r} must not list the label column data.label={self.label!r}")


def _need_path(path: str, what: str) -> None:
    if not path.strip():
        raise RequestError(f"data.path={path!r} must name {what}")
