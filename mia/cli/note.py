"""`mia note RUN text=...`: what a person thinks of a run, kept with it; MLflow's page and `mia runs` show it."""

from mia.checks import RequestError
from mia.cli.arguments import as_text, only_overrides
from mia.cli.finding import RESULTS, find_run, name_first
from mia.cli.main import ALL_IS_WELL
from mia.composition import compose_config
from mia.config import NoteConfig, to_options
from mia.home import home

NOTE, SHOWN = "mia.note", "mlflow.note.content"
"""Tags: the note alone, and the text on MLflow's page, in which a sweep's table may stand below it."""


def command(arguments: list[str]) -> int:
    """Store or show the note, and return the exit code."""
    typed = only_overrides(name_first(arguments, ["run"]), "note")
    told = [one.removeprefix("text=") for one in typed if one.startswith("text=")]
    if len(told) > 1:
        raise RequestError(f"text= is given {len(told)} times: a run has one note")
    overrides = [as_text(one, ("run",)) for one in typed if not one.startswith("text=")]
    config: NoteConfig = to_options(compose_config(overrides, "note"), NoteConfig)
    config.text = told[0] if told else config.text  # as it was typed: Hydra would read signs that are a person's
    from mia.tracking import Reader, Tracker

    reader = (Reader if config.text is None else Tracker).open(config.tracking, home())
    run = find_run(reader, config.run, (*RESULTS, "sweep"))
    before = run.tags.get(NOTE, "")
    if config.text is None or not isinstance(reader, Tracker):
        print(before or f"run {run.id[:8]} ({run.name}) has no note")
        return ALL_IS_WELL
    text = config.text.strip()
    reader.resume(run).set_tags({NOTE: text, SHOWN: page_text(run.tags.get(SHOWN, ""), before, text)})
    print(f"run {run.id[:8]} ({run.name}): {'note kept' if text else 'note taken away'}")
    return ALL_IS_WELL


def page_text(page: str, before: str, text: str) -> str:
    """Return the text of MLflow's page with a person's note at its top in the place of the one before."""
    rest = page.removeprefix(before).lstrip("\n") if before else page
    return "\n\n".join(filter(None, [text, rest]))
