"""Any estimator of scikit-learn, or of a library that follows its interface."""

from __future__ import annotations

import importlib
import inspect
import io
from collections.abc import Mapping
from typing import Any

from snakemake_repro.wrappers.families.base import Curves, Learner
from snakemake_repro.wrappers.problems import WrapperError, check_names, listed, suggest


class ScikitLearn:
    """Estimators by their dotted name; several make a pipeline."""

    def learner(self, own: Mapping[str, Any], target: Any, *, seed: int, threads: int) -> Learner:
        """Return the estimator or the pipeline that ``estimator`` names."""
        from sklearn.base import is_classifier, is_regressor
        from sklearn.pipeline import make_pipeline

        del target
        given = dict(own)
        names = _estimator_names(given.pop("estimator", None))
        steps = [_class_of(name)() for name in names]
        estimator = steps[0] if len(steps) == 1 else make_pipeline(*steps)
        known = estimator.get_params(deep=True)
        check_names(given, sorted(set(known) - {"steps"}), " > ".join(names))
        ours: dict[str, Any] = {}
        for name in known:
            kind = name.rpartition("__")[2]
            if kind == "random_state":
                ours[name] = seed
            elif kind == "n_jobs":
                ours[name] = threads
        estimator.set_params(**(ours | given))
        if not (is_classifier(estimator) or is_regressor(estimator)):
            raise WrapperError(
                f"params: {' > '.join(names)}: expected a classifier or regressor at the end, "
                f"got {names[-1]}",
                hint="add one to the list estimator=",
            )
        return Learner(
            name=" > ".join(names),
            estimator=estimator,
            classifier=bool(is_classifier(estimator)),
            encode=False,
        )

    def fit(self, estimator: Any, rows: Any, target: Any, weight: Any, valid: Any) -> Curves:
        """Fit an estimator; scikit-learn gives no curve of the training."""
        del weight, valid  # class weights are parameters of scikit-learn's own estimators
        estimator.fit(rows, target)
        return {}

    def dump(self, estimator: Any, about: Mapping[str, Any], path: str) -> bytes:
        """Return the estimator as joblib writes it."""
        import joblib  # type: ignore[import-untyped]

        del about  # the estimator knows its classes and features
        if not path.endswith((".joblib", ".pkl", ".pickle")):
            raise WrapperError(
                f"output: {path}: expected a name that ends in .joblib or .pkl, "
                "which is how a scikit-learn model is stored",
                hint="rename the output model=",
            )
        buffer = io.BytesIO()
        joblib.dump(estimator, buffer)
        return buffer.getvalue()


def _estimator_names(value: object) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(type(n) is str for n in names):
        raise WrapperError(
            "params: expected a dotted name or a list of them as estimator=, "
            f"got {'nothing' if value is None else repr(value)}",
            hint='such as estimator="sklearn.svm.LinearSVC"',
        )
    return list(names)


def _class_of(name: str) -> Any:
    """Return the class of a dotted name."""
    module_name, _, class_name = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as exc:
        raise WrapperError(
            f"params: estimator {name!r}: expected the dotted name of an estimator class, "
            f"got a module {module_name!r} that cannot be imported: {exc}",
            hint="correct the name, or add its library to the environment",
        ) from exc
    found = getattr(module, class_name, None)
    if not (inspect.isclass(found) and hasattr(found, "fit") and hasattr(found, "get_params")):
        public = [n for n, c in vars(module).items() if inspect.isclass(c) and hasattr(c, "fit")]
        got = "nothing of that name" if found is None else f"a {type(found).__name__}"
        raise WrapperError(
            f"params: estimator {name!r}: expected an estimator class in {module_name}, got {got}",
            hint=suggest(class_name, public) or f"{module_name} has {listed(sorted(public))}",
        )
    return found
