"""A result in the hands of a person: as a frame, a figure, a folder of files, a table in a notebook.

Adds to `mia.records.Result` what only the Python face needs; pandas and the report are loaded when they are used.
"""

import html
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia import records
from mia.model_card import About, verdict
from mia.outputs import check_writable, folder_files, write_files
from mia.tables import attacks_by_auc

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOK = ("auc", "auc_low", "auc_high", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr", "advantage")


@dataclass(frozen=True)
class Result(records.Result):
    """What an audit or an experiment found out.

    `metrics` are flat contract names, such as `attack/loss/auc` with `_low` and `_high` for its 95% interval;
    `scores[name].score` is [Q], one number per candidate record, high = member; `index` [Q] says which records those
    are, `is_member` [Q] whether they are members, `warnings` what a person should know.
    """

    @classmethod
    def of(cls, found: records.Result) -> "Result":
        """Return what was found, with all that a person can do with it."""
        return cls(**{one.name: getattr(found, one.name) for one in fields(records.Result)})

    def frame(self) -> "pd.DataFrame":
        """Return a pandas frame: a row per attack, the strongest first, and a column per metric."""
        import pandas as pd

        rows = {
            name: {
                key.removeprefix(f"attack/{name}/"): value
                for key, value in self.metrics.items()
                if key.startswith(f"attack/{name}/")
            }
            for name in attacks_by_auc(self)
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("attack")

    def figure(self, name: str = "roc") -> Any:
        """Return a figure as an Altair chart, to be shown in a notebook or saved.

        Args:
            name: `roc`, `attacks`, `per_class`, `slices`, `agreement`, `confidence`, `learning_curves`,
                `leakage_by_epoch` or `growth`.

        Raises:
            RequestError: no such figure, or nothing to draw in it.
        """
        from mia.report.run import figure

        return figure(self, name)

    def save(self, folder: str | Path, *, model: str = "", data: str = "") -> Path:
        """Write everything into a folder, each file whole or not at all, and return the folder.

        Args:
            folder: Where; it is made if it is not there.
            model: What the model is called, for the page and the model card.
            data: What its data are called.

        Raises:
            RequestError: the folder cannot be made or written.
        """
        folder = check_writable(Path(folder), "folder")
        write_files(folder, folder_files(self, About(model, data)))
        return folder

    def __repr__(self) -> str:
        return f"Result({len(self.index)} records, {len(self.scores)} attacks: {verdict(self)})"

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        names = [name for name in NOTEBOOK if any(f"attack/{attack}/{name}" in self.metrics for attack in self.scores)]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("attack", *names))
        rows = "".join(
            f"<tr><td>{html.escape(attack)}</td>"
            + "".join(f"<td>{self._cell(attack, name)}</td>" for name in names)
            + "</tr>"
            for attack in attacks_by_auc(self)
        )
        said = "".join(f"<li>{html.escape(line)}</li>" for line in self.warnings)
        return (
            f"<p>{html.escape(verdict(self))}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            + (f"<ul>{said}</ul>" if said else "")
        )

    def _cell(self, attack: str, name: str) -> str:
        value = self.metrics.get(f"attack/{attack}/{name}")
        return "" if value is None else f"{value:.3f}"
