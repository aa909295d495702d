"""MLflow's autologging of frameworks goes through us, and an outage in the middle of a fit costs nothing.

Keras is 450 MB and not installed unless MLFLOWHA_TEST_FRAMEWORKS="keras jax" says so: see with_mlflow.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Door
from mlflow import MlflowClient
from outage_test import drained, only_run, truth, until
from sklearn.datasets import load_iris

X, Y = load_iris(return_X_y=True)
ROUNDS = 12


def sklearn(at: Callable[[int], None]) -> None:
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog(log_models=False, silent=True)
    at(ROUNDS // 2)
    LogisticRegression(max_iter=200).fit(X, Y)


def lightgbm(at: Callable[[int], None]) -> None:
    framework = pytest.importorskip("lightgbm")
    mlflow.lightgbm.autolog(log_models=False, silent=True)
    data = framework.Dataset(X, Y)
    parameters = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    framework.train(parameters, data, ROUNDS, valid_sets=[data], callbacks=[lambda env: at(env.iteration)])


def xgboost(at: Callable[[int], None]) -> None:
    framework = pytest.importorskip("xgboost")
    mlflow.xgboost.autolog(log_models=False, silent=True)

    class Watch(framework.callback.TrainingCallback):  # type: ignore[misc,name-defined]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            at(epoch)
            return False

    data = framework.DMatrix(X, Y)
    parameters = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    framework.train(parameters, data, ROUNDS, evals=[(data, "train")], callbacks=[Watch()])


def keras(at: Callable[[int], None]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip("jax", reason="no Keras here")
    framework = pytest.importorskip("keras", reason="no Keras here")
    mlflow.keras.autolog(log_models=False, silent=True)
    model = framework.Sequential([framework.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    watch = framework.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: at(epoch))
    model.fit(X, Y, epochs=ROUNDS, verbose=0, callbacks=[watch])


@pytest.mark.parametrize("fit", [sklearn, lightgbm, xgboost, keras])
def test_an_outage_in_the_middle_of_a_fit(fit: Callable[..., None], door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    name = f"framework {fit.__name__}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(name)
    try:
        with mlflow.start_run():
            fit(lambda round: door.shut() if round == ROUNDS // 2 else None)
    finally:
        mlflow.autolog(disable=True)
    door.open()
    until(lambda: drained(uri))
    run = only_run(truth(door), name)
    assert run.info.status == "FINISHED"
    assert len(run.data.params) >= 3
    assert run.data.metrics
    if fit is sklearn:  # uploads plots before it logs its metrics
        files = {file.path for file in truth(door).list_artifacts(run.info.run_id)}
        assert {"estimator.html", "training_confusion_matrix.png"} <= files
    else:
        key = next(iter(run.data.metrics))
        points = MlflowClient(f"http://127.0.0.1:{door.upstream}").get_metric_history(run.info.run_id, key)
        assert sorted(point.step for point in points) == list(range(ROUNDS))
