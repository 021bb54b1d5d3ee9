"""Measures the report of a large sweep and prints one JSON line.

python tests/bench/report.py --runs 200 --records 1000

The runs are invented: six defences, four strengths, four sizes, both attackers; each with scores of four attacks and a
table of ten classes on disk. `seconds` is what writing the report takes; `cpu_seconds` leaves out what others did.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--records", type=int, default=1000)
    arguments = parser.parse_args()
    from report_fakes import STRENGTHS, fake_sweep, fetch_file

    with tempfile.TemporaryDirectory() as folder:
        sizes = [2500, 5000, 10000, 15000]
        seeds = range(-(-arguments.runs // 196))
        runs = fake_sweep(Path(folder), sizes, tuple(STRENGTHS), seeds, records=arguments.records)[: arguments.runs]
        start, cpu = time.perf_counter(), time.process_time()
        from mia.report.sweep import write_report
        from mia.study.frame import read_study

        study = read_study(runs, fetch_file)
        page = write_report(study, Path(folder) / "out", title="bench", question="How long?")
        line = {
            "runs": len(runs),
            "seconds": round(time.perf_counter() - start, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "page_megabytes": round(page.stat().st_size / 1e6, 2),
        }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
