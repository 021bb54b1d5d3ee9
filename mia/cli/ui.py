"""`mia ui`: browse all runs in MLflow."""

from mia.cli.arguments import only_overrides
from mia.cli.main import ALL_IS_WELL
from mia.composition import compose_config
from mia.config import UiConfig, to_options
from mia.home import home


def command(arguments: list[str]) -> int:
    """Serve until interrupted, and return the exit code."""
    config: UiConfig = to_options(compose_config(only_overrides(arguments, "ui"), "ui"), UiConfig)
    from mia.tracking.ui import serve

    serve(home(), config.host, config.port, open_browser=config.open, uri=config.tracking.uri)
    return ALL_IS_WELL
