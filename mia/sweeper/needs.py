"""What a job should ask a cluster for: cores and memory, from the models that it trains.

Takes configurations and their data sets; gives whole numbers. Asks for enough rather than for little: a job that runs
out of memory has cost more than one that waited.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mia.sweeper.check import Configuration, LastData

if TYPE_CHECKING:
    from mia.records import Dataset

MOST_CORES = 8  # models are shared out over cores; beyond so many, more jobs are better than larger ones
BASE_GB, CORE_GB = 3.0, 0.5  # libraries and compiled code; what each core works with
COPIES = 4  # of the records and of the answers, at the worst moment of training and attacks


def needs(configurations: Iterable[Configuration], data: LastData) -> dict[str, int]:
    """Return `cpus_per_task` and `mem_gb` that are enough for each of the configurations."""
    cores, memory = 1, 1.0
    for one in configurations:
        options = one.config.experiment()
        models = options.split.num_shadows + 1
        own = min(models, MOST_CORES)
        size = _bytes(data.load(options.data), models) / 2**30
        cores, memory = max(cores, own), max(memory, BASE_GB + own * CORE_GB + COPIES * size)
    return {"cpus_per_task": cores, "mem_gb": int(memory) + 1}


def _bytes(data: "Dataset", models: int) -> float:
    """Return the bytes of all records as floats, and of all answers."""
    return 4.0 * len(data.x) * (data.x[0].size + models * data.num_classes)
