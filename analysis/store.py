"""The MLflow store of a sweep: how it is reached, and what to say when it is not."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from ..datasets.refusal import UserError

# MLflow's own client would retry for minutes inside one call; whoever asks decides whether to ask again.
# It would also print each run's address on stdout when the run ends.
for variable, value in (
    (MLFLOW_HTTP_REQUEST_MAX_RETRIES, 0),
    (MLFLOW_HTTP_REQUEST_TIMEOUT, 30),
    (MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT, True),
):
    if not variable.is_set():
        variable.set(value)

OUTAGE = (MlflowException, SQLAlchemyError, OSError)
"""What a store that does not answer, or refuses, makes its client raise."""


SQLITE = "sqlite:///"


def store_of(run: Path, told: Mapping[str, Any]) -> str:
    """Return the URI of the store that a run folder's ``sweep.json`` names; its own, which it does not name, moves with it."""
    return told["tracking_uri"] or f"{SQLITE}{run.resolve() / 'mlflow.db'}"


def from_root(tracking_uri: str) -> str:
    """Return the URI, of a file named from the root on: a sweep may go on from another folder."""
    file = tracking_uri.removeprefix(SQLITE)
    return tracking_uri if file == tracking_uri else f"{SQLITE}{Path(file).absolute()}"


def connect(tracking_uri: str, new: bool = False) -> MlflowClient:
    """Return a client of the tracking store, proven to answer.

    Args:
        new: whether a database may be made where there is none.

    Raises:
        UserError: there is none, it does not answer, the URI holds a password, or the database's driver is not installed.
    """
    file = tracking_uri.removeprefix(SQLITE).partition("?")[0]
    if not new and tracking_uri.startswith(SQLITE) and not Path(file).is_file():
        raise UserError(
            f"there is no MLflow store at {tracking_uri}: name the one this sweep was logged to with --tracking-uri"
        )
    _refuse_password(tracking_uri)
    with must_answer(tracking_uri):
        client = MlflowClient(tracking_uri)
        client.search_experiments(max_results=1)
    return client


@contextlib.contextmanager
def must_answer(tracking_uri: str) -> Iterator[None]:
    """A store that fails is the user's to mend, before a sweep's first trial and for a report."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"the MLflow store {tracking_uri} needs a driver that is not here ({error}): for PostgreSQL "
            "`pip install 'radsweep[postgresql]'`"
        ) from error
    except OUTAGE as error:
        raise UserError(
            f"the MLflow store {tracking_uri} cannot be used ({reason(error)}): "
            "make it reachable and writable, or name another with --tracking-uri"
        ) from error


def _refuse_password(tracking_uri: str) -> None:
    """A URI is shown on screens and kept in the run folder, by Ray and by the shell; a password in it would be, too."""
    uri = urlsplit(tracking_uri)
    login_in_address = uri.username is not None and uri.scheme in ("http", "https")
    if uri.password is not None or login_in_address or "password" in parse_qs(uri.query):
        raise UserError(
            f"the tracking URI of {uri.hostname} holds a login, which others would see: give it without, and the login in "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (MLflow server) or in PGPASSWORD or ~/.pgpass (PostgreSQL)"
        )


def reason(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
