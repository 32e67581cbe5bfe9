"""A rollout as a pipeline: start a candidate, watch it, ramp it, watch it again, and promote it if that was requested.

A step that is killed and retried continues where it stopped, because the rollout's state is durable. A candidate that
breaches a guardrail is aborted, and the pipeline fails with the champion serving.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.contracts import images
from pipelines.running.placement import Cluster, place


@dsl.component(base_image=images.TRITON, install_kfp_package=False)
def start_rollout(version: int, weight: float, reason: str) -> None:
    """Serve a share of the users by a version of `reland-ranker`, unless it is served already."""
    from components.foundation.settings import load_settings
    from serving.rollout.controller import start, status

    settings = load_settings()
    running = status(settings).desired.candidate
    if running is None or running.version != version:
        start(settings, version, weight, reason)


@dsl.component(base_image=images.TRITON, install_kfp_package=False)
def ramp_rollout(weight: float, reason: str) -> None:
    """Give the candidate a larger share; if it has that share already, nothing changes."""
    from components.foundation.settings import load_settings
    from serving.rollout.controller import ramp, status

    settings = load_settings()
    running = status(settings).desired.candidate
    if running is None or running.weight != weight:
        ramp(settings, weight, reason)


@dsl.component(base_image=images.TRITON, install_kfp_package=False)
def watch_rollout(seconds: float) -> None:
    """Watch the guardrails for a time; fails if the guard or somebody else has ended the rollout."""
    from components.foundation.errors import ConflictError
    from components.foundation.settings import load_settings
    from serving.rollout.guard import watch
    from serving.rollout.guardrails import Limits

    watched = watch(load_settings(), Limits(), seconds)
    if watched.breached:
        raise ConflictError(f"the rollout is aborted: {'; '.join(map(str, watched.breached))}")
    if watched.ended:
        raise ConflictError("the rollout was ended while it was watched")


@dsl.component(base_image=images.TRITON, install_kfp_package=False)
def promote_rollout(version: int, reason: str) -> None:
    """Make the candidate the champion; if it is the champion already, nothing changes."""
    from components.foundation.settings import load_settings
    from serving.rollout.controller import promote, resume

    settings = load_settings()
    state = resume(settings)
    if state.candidate is not None or state.champion.version != version:
        promote(settings, reason)


def define_rollout(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""

    def placed(task: dsl.PipelineTask) -> dsl.PipelineTask:
        return place(task, cluster, uses_outside_state=True)

    @dsl.pipeline(
        name="rollout", description="A candidate is started, watched, ramped, watched and, on request, promoted."
    )
    def rollout(
        version: int,
        start_weight: float = 0.05,
        ramp_weight: float = 0.25,
        stage_seconds: float = 86_400.0,
        promoted: bool = False,
        reason: str = "",
    ) -> None:
        """A stage lasts `stage_seconds`; without `promoted` the rollout continues after the second one."""
        started = placed(start_rollout(version=version, weight=start_weight, reason=reason))
        first = placed(watch_rollout(seconds=stage_seconds)).after(started)
        ramped = placed(ramp_rollout(weight=ramp_weight, reason=reason)).after(first)
        second = placed(watch_rollout(seconds=stage_seconds)).after(ramped)
        with dsl.If(promoted == True):  # noqa: E712
            placed(promote_rollout(version=version, reason=reason)).after(second)

    return rollout
