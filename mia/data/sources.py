"""Every official file: where users get it, its size and its published hash. Facts only."""

from dataclasses import dataclass

_TORONTO = "https://www.cs.toronto.edu/~kriz/"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
_SHOKRI = "https://github.com/privacytrustlab/datasets/raw/master/"


@dataclass(frozen=True)
class Source:
    """One official file.

    A hash is `<kind>:<hex>`; kinds are md5, sha256, and git: the SHA-1 git gives the file's content.
    """

    file: str
    folder: str  # URL of the folder it lies in
    size: int | None  # bytes; None where it is not known
    hash: str
    content_hash: str | None = None  # of the unpacked bytes, where re-compressed copies are good too

    @property
    def url(self) -> str:
        """Where the file is downloaded from."""
        return self.folder + self.file


SOURCES: dict[str, tuple[Source, ...]] = {
    "cifar10": (Source("cifar-10-binary.tar.gz", _TORONTO, 170_052_171, "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
    "cifar100": (Source("cifar-100-binary.tar.gz", _TORONTO, 168_513_733, "md5:03b5dce01913d631647c71ecec9e9cb8"),),
    "mnist": (
        Source(
            "train-images-idx3-ubyte.gz",
            _MNIST,
            9_912_422,
            "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "md5:6bbc9ace898e44ae57da46a324031adb",
        ),
        Source(
            "train-labels-idx1-ubyte.gz",
            _MNIST,
            28_881,
            "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "md5:a25bea736e30d166cdddb491f175f624",
        ),
        Source(
            "t10k-images-idx3-ubyte.gz",
            _MNIST,
            1_648_877,
            "md5:9fb629c4189551a2d022fa330f9573f3",
            "md5:2646ac647ad5339dbf082846283269ea",
        ),
        Source(
            "t10k-labels-idx1-ubyte.gz",
            _MNIST,
            4_542,
            "md5:ec29112dd5afa0611ce80d1b7f02629c",
            "md5:27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "adult": (
        Source(
            "adult.data",
            _UCI,
            3_974_305,
            "sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        ),
        Source(
            "adult.test",
            _UCI,
            2_003_153,
            "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
        ),
    ),
    "locations": (
        Source(
            "dataset_location.tgz",
            _SHOKRI,
            287_293,
            "sha256:927203f85a868f8ee17a0ded1dc61699efe602167beabe34fbf45b4b1de94b33",
        ),
    ),
    "purchase": (Source("dataset_purchase.tgz", _SHOKRI, None, "git:3efa7476ad5ed7ac3e558d28585a186b38fc5f19"),),
    "texas": (Source("dataset_texas.tgz", _SHOKRI, None, "git:966f7ff40b24cf5912ff84759aab9adb8c25f30e"),),
}
"""The files of each official data set, in the order its loader reads them."""
