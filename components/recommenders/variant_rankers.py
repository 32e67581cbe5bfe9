"""The rankers of variants before they are trained, and the rationales that each of them is given."""

import dataclasses

import numpy as np
import torch

from components.foundation.errors import InputError
from components.recommenders.backbones.registry import backbone_entry
from components.recommenders.collaborative_ranker import CollaborativeRanker
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


def build_ranker(
    variant: str, inputs: RankerInputs, backbone: str, model: BackboneConfig, seed: int
) -> Ranker | CollaborativeRanker:
    """An untrained ranker of one variant; its first weights follow from the seed.

    Raises:
        InputError: an unknown variant or backbone, two that do not go together, or settings that it does not have.
    """
    is_collaborative = backbone_entry(backbone).is_collaborative
    source = variant_named(variant).pool
    pool = inputs.rationales.pool(source, inputs.item_text, inputs.sequences, seed) if source else None
    torch.manual_seed(seed)
    config = RankerConfig(
        variant=variant,
        items=inputs.sequences.n_items,
        text_encoder=inputs.text_encoder,
        text_dimension=inputs.item_text.shape[1],
        backbone=backbone,
        pool=inputs.pool,
        users=inputs.sequences.n_users if is_collaborative else 0,
        **dataclasses.asdict(model),
    )
    if is_collaborative:
        pairs = torch.from_numpy(np.stack(inputs.sequences.training_pairs()))
        return CollaborativeRanker(config, inputs.item_text, pairs)
    return Ranker(config, inputs.item_text, pool)
