"""What a stopped trial held is free again: no placement group and no process outlives it, and the next trial starts at once.

Ray keeps the placement groups of Train runs that its own schedulers stop (docs/decisions.md) and says nothing when it does: the
sweep then waits for ever. CPUs stand in for GPUs: two trials hold almost all, so that two forgotten workers stop the sweep.
"""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.tune
from ray import cloudpickle
from ray._private.state import actors
from ray.train import RunConfig, ScalingConfig
from ray.util import placement_group_table

from radsweep.sweeps.schedule import RungKeeper
from radsweep.sweeps.train_run import TellTune, TrialTrainer

AT_ONCE = 2
MOST_S = 10.0
COORDINATOR = "_AutoscalingCoordinatorActor"  # Ray's own, one per cluster


def run_trial(config: dict[str, int], keeper: Any, checkpoints: str) -> None:
    """A trial as ``sweeps/trial.py`` composes it, around a loop that only asks and is told to stop."""
    started = time.time()
    name = ray.tune.get_context().get_trial_id()

    def train() -> None:
        goes_on = ray.get(keeper.goes_on.remote(name, 1, {"score": 0.0}))
        ray.train.report({"number": config["number"], "goes_on": goes_on, "started": started, "stopped": time.time()})

    TrialTrainer(
        train,
        scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9}),
        run_config=RunConfig(name=name, storage_path=checkpoints, callbacks=[TellTune()]),
    ).fit()


def held() -> Counter[str]:
    """Placement groups that exist, and processes of trials that live, by kind."""
    groups = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
    alive = [actor["ActorClassName"] for actor in actors(actor_state_name="ALIVE").values()]
    return Counter({"placement group": len(groups)}) + Counter(name for name in alive if name != COORDINATOR)


@pytest.mark.parametrize("stops", [4, pytest.param(50, marks=pytest.mark.soak)])
def test_a_stopped_trial_gives_everything_back(cluster: None, tmp_path: Path, stops: int) -> None:  # noqa: ARG001
    """After every forced stop the next trial starts within seconds, and after the last one nothing is held."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    before, free = held(), ray.available_resources()["CPU"]
    keeper = RungKeeper.remote(tmp_path, {"metric": "score", "direction": "max", "reduction": 1000.0}, [1])
    assert not ray.get(keeper.goes_on.remote("the best there is", 1, {"score": 1.0}))
    trainable = ray.tune.with_resources(
        ray.tune.with_parameters(run_trial, keeper=keeper, checkpoints=str(tmp_path / "trials")), {"CPU": 0.01}
    )
    results = ray.tune.Tuner(
        trainable,
        param_space={"number": ray.tune.grid_search(list(range(stops)))},
        tune_config=ray.tune.TuneConfig(max_concurrent_trials=AT_ONCE, reuse_actors=True),
        run_config=ray.tune.RunConfig(name="tune", storage_path=str(tmp_path), verbose=0),
    ).fit()

    assert not results.errors
    told = [result.metrics for result in results]
    assert len(told) == stops
    assert not any(metrics["goes_on"] for metrics in told)
    starts, ends = (sorted(metrics[what] for metrics in told) for what in ("started", "stopped"))
    waits = [start - end for start, end in zip(starts[AT_ONCE:], ends, strict=False)]
    assert max(waits) < MOST_S
    ray.kill(keeper)
    end = time.monotonic() + MOST_S
    while (held() - before or ray.available_resources()["CPU"] < free) and time.monotonic() < end:
        time.sleep(0.2)
    assert held() - before == Counter()
    assert ray.available_resources()["CPU"] >= free
