"""Perceptrons and autoencoders of Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snakemake_repro.wrappers.families import keras_models as models
from snakemake_repro.wrappers.families.autoencoders import Autoencoder, autoencoder_of
from snakemake_repro.wrappers.families.base import Curves, Learner
from snakemake_repro.wrappers.families.networks import Network, network_learner, scaling_of

PERCEPTRON = "mlp"

_OTHERS = ("backend", "kind")
_ERROR = "reconstruction_error"


class Keras:
    """A classifier or regressor, by the type of the target."""

    def __init__(self, backend: str) -> None:
        """Choose one of ``keras_models.BACKENDS``."""
        self._backend = backend

    def learner(self, own: Mapping[str, Any], target: Any, *, seed: int, threads: int) -> Learner:
        """Return an unfitted network."""
        return network_learner(
            own, target, name="keras.MLP", seed=seed, threads=threads, others=_OTHERS
        )

    def fit(self, estimator: Network, rows: Any, target: Any, weight: Any, valid: Any) -> Curves:
        """Fit a network; return its loss on the rows, and on those to validate on, by epoch."""
        settings, classifier = estimator.settings, estimator.classifier
        scaling = scaling_of(rows, target, classifier=classifier)
        outputs = len(set(target.tolist())) if classifier else 1
        pairs = [
            (scaling.features(x), scaling.targets(y, classifier=classifier))
            for x, y in ([(rows, target)] if valid is None else [(rows, target), valid])
        ]
        with models.repeatable(self._backend, settings) as keras:
            features = keras.Input((rows.shape[1],), name="features")
            layers = [
                *models.hidden_layers(settings.hidden, settings, name="hidden"),
                keras.layers.Dense(outputs, name="output"),
            ]
            network = keras.Model(features, models.chained(features, layers), name="network")
            network.compile(
                optimizer=models.optimiser(settings),
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                if classifier
                else keras.losses.MeanSquaredError(),
                jit_compile=False,
            )
            found = models.learn(
                network,
                *pairs[0],
                settings,
                weight=weight,
                valid=None if valid is None else pairs[1],
            )
            mean, deviation = scaling.target
            last = (
                keras.layers.Softmax(name="probabilities")
                if classifier
                else keras.layers.Rescaling(deviation, offset=mean, name="target")
            )
            table = keras.Input((rows.shape[1],), name="table")
            whole = keras.Model(
                table, models.chained(table, [models.scaled(scaling), *layers, last]), name="mlp"
            )
        estimator.fitted = models.Fitted(model=whole, layers=layers, activation=settings.activation)
        estimator.scaling = scaling
        return _curves(found, loss="loss")

    def dump(self, estimator: Network, about: Mapping[str, Any], path: str) -> bytes:
        """Return the network as a file of Keras."""
        assert estimator.scaling is not None
        return models.dump_fitted(estimator.fitted, estimator.scaling, about, path)


class KerasAutoencoders:
    """Autoencoders: plain, deep and variational."""

    def __init__(self, backend: str) -> None:
        """Choose one of ``keras_models.BACKENDS``."""
        self._backend = backend

    def autoencoder(self, own: Mapping[str, Any], *, seed: int, threads: int) -> Autoencoder:
        """Return an unfitted autoencoder."""
        return autoencoder_of(own, name=f"keras {own['kind']}", seed=seed, threads=threads)

    def fit(self, autoencoder: Autoencoder, rows: Any, valid: Any) -> Curves:
        """Fit an autoencoder to rows (n, f).

        Returns:
            By epoch the mean square error of scaled features, and of a variational one what is
            minimised as well, each for the rows and for those to validate on, if any.

        Raises:
            ValueError: A value is missing or not finite.
        """
        settings, width = autoencoder.settings, rows.shape[1]
        scaling = scaling_of(rows, None, classifier=True)
        x = scaling.features(rows)
        watched = None if valid is None else (scaling.features(valid),) * 2
        with models.repeatable(self._backend, settings) as keras:
            dense = keras.layers.Dense
            encode = models.hidden_layers(settings.hidden, settings, name="encoder")
            mean = dense(autoencoder.latent, name="latent")
            spread = dense(autoencoder.latent, name="log_variance")
            decode = [
                *models.hidden_layers(settings.hidden[::-1], settings, name="decoder"),
                dense(width, name="reconstruction"),
            ]
            features = keras.Input((width,), name="features")
            inner = models.chained(features, encode)
            code = mean(inner)
            if autoencoder.beta is not None:
                # of a Gaussian with deviation 1 around the reconstruction, per feature and doubled
                share = 2 * autoencoder.beta / width
                code = _sampling(share, settings.seed)([code, spread(inner)])
            network = keras.Model(features, models.chained(code, decode), name="network")
            network.compile(
                optimizer=models.optimiser(settings),
                loss=keras.losses.MeanSquaredError(),
                metrics=[keras.metrics.MeanSquaredError(name=_ERROR)],
                jit_compile=False,
            )
            found = models.learn(network, x, x, settings, weight=None, valid=watched)
            table = keras.Input((width,), name="table")
            inner = models.chained(table, [models.scaled(scaling), *encode])
            codes = {"latent": mean(inner)}
            if autoencoder.beta is not None:
                codes["log_variance"] = spread(inner)
            entry = keras.Input((autoencoder.latent,), name="code")
            back = keras.layers.Rescaling(
                scaling.deviation.tolist(), offset=scaling.mean.tolist(), name="unscaled"
            )
            decoder = keras.Model(entry, models.chained(entry, [*decode, back]), name="decoder")
            whole = keras.Model(
                table, {**codes, "reconstruction": decoder(codes["latent"])}, name=autoencoder.kind
            )
        autoencoder.fitted = models.Fitted(
            model=whole, layers=[*encode, mean, *decode], activation=settings.activation
        )
        autoencoder.scaling = scaling
        error = _curves(found, **{_ERROR: _ERROR})
        return error if autoencoder.beta is None else {**error, **_curves(found, loss="loss")}

    def dump(self, autoencoder: Autoencoder, about: Mapping[str, Any], path: str) -> bytes:
        """Return the autoencoder as a file of Keras."""
        assert autoencoder.scaling is not None
        # each hidden layer is two modules, itself and its activation
        encoder = 2 * len(autoencoder.settings.hidden) + 1
        return models.dump_fitted(
            autoencoder.fitted,
            autoencoder.scaling,
            {**about, "latent": autoencoder.latent, "encoder": encoder},
            path,
        )


def _curves(history: Mapping[str, Sequence[float]], **names: str) -> Curves:
    """Return series by our names; Keras's names stand for the rows to learn from."""
    return {
        f"{part}_{ours}": history[f"{prefix}{theirs}"]
        for ours, theirs in names.items()
        for part, prefix in (("train", ""), ("valid", "val_"))
        if f"{prefix}{theirs}" in history
    }


def _sampling(share: float, seed: int) -> Any:
    """Return a layer that draws a code from the normal distribution that describes a row.

    It adds the distribution's Kullback-Leibler divergence from the standard one to the loss
    (Kingma and Welling, ICLR 2014), and passes the mean on outside of training. Its class is made
    here, since its base is imported late.

    Args:
        share: Weight of the divergence.
        seed: Of what it draws.
    """
    import keras
    from keras import ops

    class Sampling(keras.layers.Layer):  # type: ignore[misc]  # untyped where not installed
        """Draws codes."""

        def __init__(self) -> None:
            super().__init__(name="sampling")
            self.generator = keras.random.SeedGenerator(seed)

        def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002 - Keras's
            mean, spread = inputs
            divergence = ops.sum(ops.exp(spread) + ops.square(mean) - 1.0 - spread, axis=-1) / 2
            self.add_loss(share * ops.mean(divergence))
            if not training:
                return mean
            noise = keras.random.normal(ops.shape(mean), seed=self.generator)
            return mean + ops.exp(spread / 2) * noise

    return Sampling()
