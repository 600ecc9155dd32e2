"""How the train wrappers deal one training to several workers; those themselves run in `tests/integration`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wrapperjobs import Job, Recorder, table

from snakemake_repro.wrappers.families.scikit_learn import ScikitLearn
from snakemake_repro.wrappers.families.shares import Place, check_enough
from snakemake_repro.wrappers.families.torch_shares import part_of_loss
from snakemake_repro.wrappers.families.xgboost import XGBoost
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.training import train


def job(folder: Path, *, threads: int, **params: Any) -> Job:
    table(range(4)).to_parquet(folder / "train.parquet")
    outputs = {name: str(folder / name) for name in ("model", "metrics")}
    outputs["model"] += ".ubj"
    made = Job({"train": str(folder / "train.parquet")}, outputs, {"target": "class"} | params)
    made.threads = threads
    return made


@given(target=st.lists(st.integers(0, 3), min_size=1, max_size=40), count=st.integers(1, 5))
def test_every_row_is_dealt_to_one_worker_and_every_class_to_all(
    target: list[int], count: int
) -> None:
    parts = [Place(rank=rank, count=count).dealt(target) for rank in range(count)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(target)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for part in parts:
        assert part.tolist() == sorted(part.tolist())
        seen = {target[row] for row in part}
        assert seen >= {name for name in target if target.count(name) >= count}


def test_numbers_of_all_sizes_are_dealt_to_each_worker() -> None:
    target = np.arange(100.0)
    means = [target[Place(rank=rank, count=4).dealt(target)].mean() for rank in range(4)]
    assert max(means) - min(means) <= 3


def test_too_few_rows_for_the_workers_are_an_error() -> None:
    with pytest.raises(
        WrapperError, match=r"x: expected at least as many rows as num_workers=3, got 2"
    ):
        check_enough(pd.Series([0.5, 1.5]), 3, classifier=False, path="x")
    check_enough(pd.Series([0.5, 1.5, 1.5]), 3, classifier=False, path="x")
    with pytest.raises(
        WrapperError,
        match=r"x: expected rows of every class for each of num_workers=2, got too few: iron has 1",
    ):
        check_enough(pd.Series(["iron", "proton", "proton"]), 2, classifier=True, path="x")


@pytest.mark.parametrize(
    ("threads", "workers", "message"),
    [
        (2, 3, r"at most as many workers as the rule's 2 threads as num_workers=, got 3"),
        (2, 0, r"a whole number of at least 1 as num_workers=, got 0"),
        (2, "two", r"a whole number of at least 1 as num_workers=, got 'two'"),
    ],
)
def test_a_number_of_workers_that_cannot_be_is_an_error(
    tmp_path: Path, threads: int, workers: object, message: str
) -> None:
    with pytest.raises(WrapperError, match=message):
        train(job(tmp_path, threads=threads, num_workers=workers), Recorder(), XGBoost())


def test_scikit_learn_has_no_workers(tmp_path: Path) -> None:
    asked = job(tmp_path, threads=2, num_workers=2, estimator="sklearn.svm.LinearSVC")
    with pytest.raises(WrapperError, match="has no parameter 'num_workers'"):
        train(asked, Recorder(), ScikitLearn())


def test_an_environment_without_ray_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ})  # Ray's settings go there
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WrapperError, match="this environment lacks ray") as caught:
        train(job(tmp_path, threads=2, num_workers=2), Recorder(), XGBoost())
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("add ray[train] to the environment")


@pytest.mark.skipif(find_spec("torch") is None, reason="needs the extra `networks`")
@pytest.mark.parametrize("weighted", [False, True, None], ids=["alike", "weighted", "numbers"])
@pytest.mark.parametrize("size", [1, 7], ids=["fewer-rows-than-workers", "uneven"])
def test_the_parts_of_a_loss_add_up_with_their_gradients(
    *, weighted: bool | None, size: int
) -> None:
    import torch

    generator = torch.Generator().manual_seed(2)
    rows = torch.randn((size, 3), generator=generator)
    model = torch.nn.Linear(3, 1 if weighted is None else 2)
    loss: Any = torch.nn.MSELoss()
    target = torch.randn((size, 1), generator=generator)
    if weighted is not None:
        loss = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]) if weighted else None)
        target = torch.arange(size) % 2

    def of(count: int) -> tuple[float, torch.Tensor]:
        model.zero_grad()
        parts = [
            part_of_loss(model, loss, (rows, target), Place(rank=rank, count=count))
            for rank in range(count)
        ]
        whole = torch.stack(parts).sum()
        whole.backward()
        assert model.weight.grad is not None
        return whole.item(), model.weight.grad.clone()

    (alone, gradient), (together, summed) = of(1), of(3)
    assert together == pytest.approx(alone, rel=1e-5)
    assert torch.allclose(gradient, summed, atol=1e-6)
