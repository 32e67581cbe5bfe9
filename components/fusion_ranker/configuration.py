"""The section `ranking`: which rankers are trained, of what, and for how long."""

from dataclasses import dataclass, field

from components.foundation.configuration import Section
from components.recommenders.backbones.registry import check_reads_history
from components.recommenders.configuration import BackboneConfig, TrainingConfig, check_backbone, check_objective


@dataclass(frozen=True)
class RankingSection(Section):
    """Which rankers are trained, of what, and for how long.

    Attributes:
        variants: rankers to compare, names of `recommenders.variants` separated by commas.
        backbone: what turns a history into a vector: sasrec, gru4rec, duorec.
        model: what the backbone is made of.
        training: how it is trained.
    """

    title = "ranking"

    variants: str = "id_only,item_features,reland,reland_shuffled"
    backbone: str = "sasrec"
    model: BackboneConfig = field(default_factory=BackboneConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_backbone(self.backbone, self.model)
        check_reads_history(self.backbone)
        check_objective(self.backbone, self.training)
