"""The first step of every pipeline: the generation that it makes has a name."""

from kfp import dsl

from components.contracts.images import DATA


@dsl.component(base_image=DATA, install_kfp_package=False)
def begin_generation(generation: str) -> str:
    """The generation's id: the one that is given, or, as a schedule has none to give, one that this moment names."""
    from datetime import UTC, datetime

    from components.contracts.generation import generation_id

    return generation or generation_id(datetime.now(UTC))
