"""The rankers of variants before they are trained, and the rationales that each of them is given."""

import dataclasses

import torch

from components.foundation.errors import InputError
from components.recommenders.configuration import BackboneConfig, RankerConfig
from components.recommenders.ranker import Ranker
from components.recommenders.ranker_inputs import RankerInputs
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.variants import variant_named


def assignments_for(variant: str, rationales: RationaleAssignments, seed: int) -> RationaleAssignments:
    """The rationales a variant gets to see: those of the match, or a control in their place.

    Raises:
        InputError: the variant reads categories of items, and the items have none.
    """
    try:
        return rationales.from_source(variant_named(variant).rationales, seed)
    except ValueError as error:
        raise InputError(f"variants: {variant}: {error}") from error


def build_ranker(variant: str, inputs: RankerInputs, backbone: str, model: BackboneConfig, seed: int) -> Ranker:
    """An untrained ranker of one variant; its first weights follow from the seed.

    Raises:
        InputError: an unknown variant or backbone, or settings that it does not have.
    """
    source = variant_named(variant).pool
    pool = inputs.rationales.pool(source, inputs.item_text, inputs.sequences, seed) if source else None
    torch.manual_seed(seed)
    return Ranker(
        RankerConfig(
            variant=variant,
            items=inputs.sequences.n_items,
            text_encoder=inputs.text_encoder,
            text_dimension=inputs.item_text.shape[1],
            backbone=backbone,
            pool=inputs.pool,
            **dataclasses.asdict(model),
        ),
        inputs.item_text,
        pool,
    )
