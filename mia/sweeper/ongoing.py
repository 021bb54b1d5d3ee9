"""What a search holds while it goes on: its run in the store, its study, and what it is to run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mia.sweeper.check import Configuration
from mia.sweeper.study import Study

if TYPE_CHECKING:
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker


@dataclass
class Search:
    """A search while it goes on."""

    tracker: "Tracker"
    run: "Run"
    study: Study
    expected: dict[str, str]  # fingerprint -> name, of all that has been begun
    configurations: dict[str, Configuration] = field(default_factory=dict)  # by fingerprint
    is_interrupted: bool = False
    failure: Exception | None = None

    def expect(self, found: Sequence[Configuration]) -> None:
        """Note what is to run, in the store as well."""
        from mia.tracking.reading import CONFIGURATIONS

        self.configurations |= {one.fingerprint: one for one in found}
        self.expected |= {one.fingerprint: one.name for one in found}
        self.run.log_text(json.dumps(self.expected, ensure_ascii=False), CONFIGURATIONS)
