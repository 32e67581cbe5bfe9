"""The first step of every pipeline: name the generation that the run makes."""

from kfp import dsl

from components.contracts.images import DATA


@dsl.component(base_image=DATA, install_kfp_package=False)
def begin_generation(generation: str) -> str:
    """The id that is given, else one made of the current time, because a schedule cannot give one."""
    from datetime import UTC, datetime

    from components.contracts.generation import generation_id

    return generation or generation_id(datetime.now(UTC))
