"""The families of models: each has an entry here, and a rule that trains it."""

from typing import NamedTuple


class Family(NamedTuple):
    """How the models of a family are made.

    Attributes:
        title: Its name for people.
        wrapper: What trains it.
        suffix: Of its models' files.
        fixed: Parameters that are the same whatever the configuration says.
        tuning: Environment file of its search, where the wrapper's own has not the library.
    """

    title: str
    wrapper: str
    suffix: str
    fixed: dict = {}
    tuning: str | None = None


FAMILIES = {
    "svm": Family(
        "SVM",
        "sklearn/train",
        "joblib",
        fixed={
            "estimator": [
                "sklearn.preprocessing.StandardScaler",
                "sklearn.kernel_approximation.Nystroem",
                "sklearn.svm.LinearSVC",
            ]
        },
    ),
    "xgboost": Family("XGBoost", "xgboost/train", "ubj"),
    "lightgbm": Family("LightGBM", "lightgbm/train", "txt"),
    "keras": Family("Keras", "keras/train", "keras", tuning="../../envs/networks.yaml"),
    "pytorch": Family("PyTorch", "pytorch/train", "safetensors", tuning="../../envs/networks.yaml"),
    "fastai": Family("fastai", "fastai/train", "safetensors", tuning="../../envs/networks.yaml"),
}
