"""Whole histories of a metric, of many runs at once: one request for a hundred of them, where one each would take minutes.

MLflow's client reads one run and one metric at a time. Its SQL store and its server (for the user interface) also read many
runs together; both are used here, and neither has a client of its own.
"""

from collections.abc import Iterator, Sequence

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.rest_store import RestStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from mlflow.utils.rest_utils import http_request, verify_rest_response

ENDPOINT = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
RUNS, POINTS = 100, 25_000
"""What the server gives at most in one answer."""
NOT_THERE = (403, 404, 405)
"""A server without that endpoint, or a proxy that lets only the documented ones through."""


def read_histories(client: MlflowClient, runs: Sequence[str], metric: str) -> dict[str, list[tuple[int, float]]]:
    """Return the points (step, value) of ``metric`` by run, in order of steps; a run that never logged it is absent.

    Raises:
        MlflowException: the store does not answer.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for first in range(0, len(runs), RUNS):
        for run, step, value in _points(client, runs[first : first + RUNS], metric):
            found.setdefault(run, []).append((step, value))
    return {run: sorted(points) for run, points in found.items()}


def _points(client: MlflowClient, runs: Sequence[str], metric: str) -> Iterator[tuple[str, int, float]]:
    """Yield what the runs logged; an answer that is as long as answers may be is asked for again in halves."""
    if len(runs) == 1:
        yield from ((runs[0], one.step, one.value) for one in client.get_metric_history(runs[0], metric))
        return
    told = _together(client, runs, metric)
    if len(told) < POINTS:
        yield from told
        return
    half = len(runs) // 2
    yield from _points(client, runs[:half], metric)
    yield from _points(client, runs[half:], metric)


def _together(client: MlflowClient, runs: Sequence[str], metric: str) -> list[tuple[str, int, float]]:
    store = client._tracking_client.store
    if isinstance(store, SqlAlchemyStore):
        return [_point(one.run_id, one) for one in store.get_metric_history_bulk(list(runs), metric, POINTS)]
    answer = None
    if isinstance(store, RestStore):
        asked = {"run_id": list(runs), "metric_key": metric, "max_results": POINTS}
        answer = http_request(store.get_host_creds(), ENDPOINT, "GET", params=asked)
    if answer is None or answer.status_code in NOT_THERE:
        return [_point(run, one) for run in runs for one in client.get_metric_history(run, metric)]
    verify_rest_response(answer, ENDPOINT)
    try:
        return [(one["run_id"], int(one.get("step", 0)), float(one["value"])) for one in answer.json()["metrics"]]
    except (ValueError, KeyError) as error:
        raise MlflowException(f"{ENDPOINT} gave no metrics") from error


def _point(run: str, metric: Metric) -> tuple[str, int, float]:
    return run, metric.step, metric.value
