"""The grid: every combination of the values that a request and its sweep file list (`hydra/sweeper=grid`)."""

import itertools
import math

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from mia.checks import RequestError
from mia.overrides import parsed, spell_out
from mia.sweep_options import GridOptions
from mia.sweeper.resuming import ResumingSweeper
from mia.sweeper.space import MOST, log_range


class GridSweeper(ResumingSweeper):
    """Runs every combination of values; what is typed replaces what the sweep file lists for the same key."""

    options: GridOptions

    def jobs(self, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of every combination, variants spelt out."""
        params = self.options.params
        listed = [f"{key}={'null' if value is None else value}" for key, value in params.items()]
        parser = OverridesParser.create(self._context.config_loader)
        axes = {
            one.get_key_element(): _values(one)
            for one in parsed([*listed, *arguments], parser)
            if not one.is_hydra_override()
        }
        if (count := math.prod(map(len, axes.values()))) > MOST:
            raise RequestError(f"the grid has {count:,} configurations; at most {MOST:,} are run at once")
        return [spell_out(job, self.task.variants) for job in itertools.product(*axes.values())]


def _values(one: Override) -> list[str]:
    """Return an override for each value that is listed.

    Raises:
        RequestError: it lists none, or not such as a grid can count.
    """
    key = one.get_key_element()
    if not one.is_sweep_override():
        return [str(one.input_line) if one.is_delete() else f"{key}={one.get_value_element_as_str()}"]
    if not one.is_discrete_sweep():
        raise RequestError(
            f"{one.input_line} lists no values: a grid needs them, KEY=A,B,C, KEY=range(START,STOP,STEP) or "
            "KEY=tag(log,range(START,STOP,COUNT))"
        )
    listed = log_range(one) or one.sweep_string_iterator()
    values = [f"{key}={value}" for value in itertools.islice(listed, MOST + 1)]
    if not values:
        raise RequestError(f"{one.input_line} lists nothing; glob chooses among the names of a config group")
    return values
