import dataclasses
import subprocess
import sys

import pytest

from components.foundation.errors import InputError
from components.recommenders.backbones.registry import BACKBONES
from components.recommenders.configuration import (
    BackboneConfig,
    RankerConfig,
    TrainingConfig,
    check_backbone,
    check_objective,
)
from components.recommenders.variants import VARIANTS

SIZES = {"items": 12, "text_encoder": "test", "text_dimension": 3}
ID_ONLY = SIZES | {"variant": "id_only"}


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (TrainingConfig, {"epochs": 0}, "epochs 0: expected a whole number, 1 or more"),
        (TrainingConfig, {"batch_size": 2.0}, "batch_size 2.0: expected a whole number, 1 or more"),
        (TrainingConfig, {"patience": True}, "patience True: expected a whole number, 1 or more"),
        (TrainingConfig, {"evaluate_every": 0}, "evaluate_every 0: expected a whole number, 1 or more"),
        (TrainingConfig, {"minimum_steps_per_epoch": -1}, "minimum_steps_per_epoch -1: expected a whole number, 1"),
        (TrainingConfig, {"seed": -1}, "seed -1: expected a whole number, 0 or more"),
        (TrainingConfig, {"learning_rate": 0.0}, "learning_rate 0.0: expected a number, above 0"),
        (TrainingConfig, {"learning_rate": "1e-3"}, "learning_rate '1e-3': expected a number, above 0"),
        (TrainingConfig, {"gradient_norm": float("nan")}, "gradient_norm nan: expected a number, above 0"),
        (TrainingConfig, {"gradient_norm": float("inf")}, "gradient_norm inf: expected a number, above 0"),
        (BackboneConfig, {"dropout": 1}, "dropout 1: expected a number, 0 or more and below 1"),
        (BackboneConfig, {"dropout": -0.1}, "dropout -0.1: expected a number, 0 or more and below 1"),
        (BackboneConfig, {"embedding_dimension": 0}, "embedding_dimension 0: expected a whole number, 1 or more"),
        (BackboneConfig, {"layers": 0}, "layers 0: expected a whole number, 1 or more"),
        (RankerConfig, SIZES | {"variant": "relnad"}, "variant 'relnad': unknown variant, expected one of id_only"),
        (RankerConfig, ID_ONLY | {"items": 0}, "items 0: expected a whole number, 1 or more"),
        (RankerConfig, ID_ONLY | {"heads": 3}, "heads 3: expected a divisor of embedding_dimension, which is 64"),
        (RankerConfig, ID_ONLY | {"backbone": "masknet"}, "backbone 'masknet': unknown .* expected one of .*sasrec"),
    ],
)
def test_a_value_that_is_not_allowed(kind: type, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        kind(**settings)
    assert "\n" not in str(caught.value)


def test_a_setting_that_the_backbone_does_not_read() -> None:
    check_backbone("gru4rec", BackboneConfig(layers=1))
    with pytest.raises(InputError, match="heads 4: backbone gru4rec has no heads, it reads embedding_dimension"):
        check_backbone("gru4rec", BackboneConfig(heads=4))
    check_backbone("gru4rec", BackboneConfig(embedding_dimension=7))  # no multiple of anything


def test_an_objective_that_the_backbone_is_not_trained_by() -> None:
    for backbone, objective in (("sasrec", "cross_entropy"), ("duorec", "sampled_softmax"), ("lightgcn", "bpr")):
        check_objective(backbone, TrainingConfig(objective=objective))
    for backbone, objective, expected in (
        ("duorec", "bpr", "cross_entropy or sampled_softmax"),
        ("neumf", "cross_entropy", "bpr or logistic"),
    ):
        message = f"objective {objective}: backbone {backbone} is not trained by it, expected {expected}$"
        with pytest.raises(InputError, match=message):
            check_objective(backbone, TrainingConfig(objective=objective))


def test_a_variant_that_reads_the_history_of_a_backbone_that_reads_none() -> None:
    with pytest.raises(
        InputError, match=r"variant reland_pool: reads the last items .*, backbone ngcf reads no history"
    ):
        RankerConfig(**SIZES, variant="reland_pool", backbone="ngcf", users=9)
    with pytest.raises(InputError, match="users 0: expected a whole number, 1 or more"):
        RankerConfig(**SIZES, variant="id_only", backbone="ngcf")


def test_every_field_is_documented() -> None:
    for kind in (TrainingConfig, BackboneConfig, RankerConfig):
        documented = "".join(each.__doc__ or "" for each in kind.__mro__)
        for field in dataclasses.fields(kind):
            assert f"        {field.name}: " in documented, field.name


def test_the_variants_of_a_backbone_have_one_signature() -> None:
    for backbone in BACKBONES:
        users = 9 if BACKBONES[backbone].is_collaborative else 0
        configs = [
            RankerConfig(**SIZES, variant=variant, backbone=backbone, users=users)
            for variant, entry in VARIANTS.items()
            if not (users and entry.late_text)
        ]
        assert len({config.inputs for config in configs}) == 1
        described = configs[0].description()
        assert described["inputs"] == list(configs[0].inputs) and described["backbone"] == backbone


def test_configurations_and_the_registry_do_without_torch() -> None:
    code = "import sys, components.recommenders.configuration as c; c.backbone_entry('sasrec')"
    assert subprocess.run([sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"]).returncode == 0
