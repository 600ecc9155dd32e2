"""Deal out the images of the MAGIC telescope to folds: gamma rays and hadrons, class by class.

An image that is there twice is taken once, so that no fold is tested with what it learned from.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

snakemake: Any


def read(path: str, features: list[str], classes: dict[str, str]) -> pa.Table:
    """Return the distinct images: the class and the ten parameters of Hillas, in the file's order.

    Raises:
        SystemExit: It is not MAGIC's table.
    """
    options = csv.ReadOptions(column_names=[*features, "class"])
    try:
        table = csv.read_csv(path, read_options=options)
    except pa.ArrowInvalid as exc:
        raise SystemExit(
            f"magic_images: {path}: expected {len(features)} numbers and a letter in each line, "
            f"got: {exc}. Name the file `magic.dat` of the UCI repository under `magic: file`."
        ) from None
    names = {code: name for name, code in classes.items()}
    strange = sorted(set(table["class"].to_pylist()) - set(names))
    if strange:
        raise SystemExit(
            f"magic_images: {path}: expected only the classes {', '.join(names)}, got also "
            f"{', '.join(strange)}. Name the file `magic.dat` of the UCI repository."
        )
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    first = dict.fromkeys(rows)
    columns = [pa.array(column) for column in zip(*first, strict=True)]
    labels = pa.array([names[code] for code in columns[-1].to_pylist()])
    numbers = [column.cast(pa.float64()) for column in columns[:-1]]
    return pa.table([labels, *numbers], ["class", *features])


def deal(labels: np.ndarray, folds: int, most: int, seed: int) -> np.ndarray:
    """Return the fold of each image, -1 for those that are left out: at random, class by class."""
    generator = np.random.default_rng(seed)
    fold = np.full(len(labels), -1)
    for label in np.unique(labels):
        chosen = generator.permutation(np.flatnonzero(labels == label))[: most or None]
        fold[chosen] = np.arange(len(chosen)) % folds
    return fold


def main() -> None:
    """Write the tables of the rule ``magic_images``."""
    params = snakemake.params
    table = read(snakemake.input[0], params.features, params.classes)
    labels = np.array(table["class"].to_pylist())
    folds = len(snakemake.output.test)
    fold = deal(labels, folds, params.most, params.seed)
    for number in range(folds):
        learn = (fold != number) & (fold >= 0)
        pq.write_table(table.filter(pa.array(learn)), snakemake.output.train[number])
        pq.write_table(table.filter(pa.array(fold == number)), snakemake.output.test[number])


if __name__ == "__main__":
    main()
