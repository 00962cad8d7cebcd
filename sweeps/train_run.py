"""A Ray Train run that lives in the trial's own process, and leaves nothing behind.

Ray starts a process of its own for the controller of a Train run, one for a queue from it to Tune, one for its data sets and
one that frees what the run held should the controller die. Each imports Ray anew, for every trial, which on two cores is most
of what a short trial costs; and the last asks Ray's dashboard, so that without one a trial whose process dies keeps its
placement group, and with it its GPUs, for ever. Here the controller runs where the trial runs, tells Tune directly, and names
its placement group after the trial, so that the trial's next life finds it and frees it (docs/decisions.md, with the figures).

This is the one place that knows Ray Train from the inside: two classes are extended that Ray does not document for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import ray
import ray.tune
from ray.train import Result
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2._internal.execution.worker_group.placement_group_handle import DefaultPlacementGroupHandle
from ray.train.v2.api.callback import UserCallback
from ray.util import get_placement_group, placement_group, remove_placement_group

NOT_NEEDED = (PlacementGroupCleanerCallback, DatasetsCallback)
"""What Ray starts a process for in every run: `free` does the one's work, and pairs are streamed without the other."""


class TrialTrainer(TorchTrainer):
    """A TorchTrainer whose controller runs in the process that calls ``fit``."""

    def _create_default_callbacks(self) -> list[Any]:
        return [one for one in super()._create_default_callbacks() if not isinstance(one, NOT_NEEDED)]

    def _initialize_and_run_controller(self, **given: Any) -> Result:
        free(self.run_config.name)
        controller = _Controller(**given)
        asyncio.run(controller.run())
        return controller.get_result()


class TellTune(UserCallback):
    """Passes the metrics of rank 0, on which ranks agree before they report, and the checkpoint's place on to Tune."""

    def after_report(self, run_context: Any, metrics: Sequence[Mapping[str, Any]], checkpoint: Any) -> None:
        del run_context
        ray.tune.report(dict(metrics[0]) | ({"checkpoint_path": checkpoint.path} if checkpoint else {}))


def free(name: str | None) -> None:
    """Give back what an earlier life of the Train run ``name`` held."""
    try:
        group = get_placement_group(_group_name(name))
    except ValueError:
        return
    remove_placement_group(group)


def _group_name(name: str | None) -> str:
    return f"trial {name}"


class _WorkerGroup(WorkerGroup):
    def _create_placement_group(self, scaling_config: Any, worker_group_context: Any) -> DefaultPlacementGroupHandle:
        del scaling_config
        bundles = [worker_group_context.resources_per_worker] * worker_group_context.num_workers
        name = _group_name(self._train_run_context.run_config.name)
        return DefaultPlacementGroupHandle(placement_group(bundles, worker_group_context.placement_strategy, name))


class _Controller(TrainController):
    worker_group_cls = _WorkerGroup
