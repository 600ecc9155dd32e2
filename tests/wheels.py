"""Wheels that this machine has beside those of its package index."""

from __future__ import annotations

import os
from pathlib import Path

TENSORFLOW = """
dependencies:
  - python
  - pip
  - pip:
      - keras ==3.15.1
      - mlflow ==3.17.2
      - pandas
      - pyarrow
      - safetensors
      - scikit-learn
      - tensorboard ==2.21.0
      - tensorflow-cpu ==2.21.0
"""
"""Keras on TensorFlow, for rules and for the wrapper, in one environment: it takes gigabytes."""


def wheels_without_cuda() -> Path | None:
    """Return a directory that pip or uv is told to look in, with a CPU build of PyTorch."""
    named = f"{os.environ.get('UV_FIND_LINKS', '')} {os.environ.get('PIP_FIND_LINKS', '')}"
    places = [Path(place) for place in named.replace(",", " ").split()]
    return next((p for p in places if [*p.glob("torch-2.13.0+cpu-*.whl")]), None)
