"""What tests of several rooms need."""

import pytest
import shape_checks

shape_checks.begin()


@pytest.fixture
def listed(tmp_path):
    """List the jobs of a grid: what is typed after `mia -m` -> overrides of every configuration."""
    from hydra.types import HydraContext

    from mia.composition import compose_with, open_hydra, read_request
    from mia.sweeper.grid import GridSweeper
    from mia.sweeper.resuming import Task

    def jobs(typed):
        request, loader = read_request(typed), open_hydra().config_loader
        task = Task(None, None, tmp_path, "", variants=request.variants)
        plain = [one for one in request.overrides if "," not in one and not task.is_variant(one)]
        composed = compose_with(loader, plain, with_hydra=True)
        sweeper = GridSweeper(composed.hydra.sweeper)
        sweeper.setup(hydra_context=HydraContext(loader, None), task_function=task, config=composed)
        return sweeper.jobs(request.overrides)

    return jobs
