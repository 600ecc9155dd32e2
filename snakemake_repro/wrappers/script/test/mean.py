"""Write the mean of a column."""

import csv
import json
import os
from pathlib import Path

from snakemake_repro import track

params = json.loads(Path(os.environ["REPRO_PARAMS"]).read_text(encoding="utf-8"))
with Path(os.environ["REPRO_INPUT_data"]).open(encoding="utf-8") as file:  # noqa: SIM112
    rows = [row for row in csv.DictReader(file) if row["primary"] not in params["skip"]]
mean = sum(float(row[params["column"]]) for row in rows) / len(rows)
with track() as run:
    run.log_metric("mean", mean)
text = json.dumps({"mean": mean, "rows": len(rows)})
Path(os.environ["REPRO_OUTPUT_mean"]).write_text(text, encoding="utf-8")  # noqa: SIM112
