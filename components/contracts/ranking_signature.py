"""The signature of a ranker as Triton serves it: the inputs that its backbone declares, the rationale, the candidates.

========================  ==========================  =====================================================
input                     type                        meaning
========================  ==========================  =====================================================
`history`                 int64[B, HISTORY_LENGTH]    item indices, oldest first, 0-padded at the end
`rationale`               float32[B, K, t]            rationale embeddings; a zero row is no rationale
`candidates`              int64[B, C]                 item indices to score
========================  ==========================  =====================================================

Outputs: `scores` float32[B, C]; `fusion_weights` float32[B, K + 1], the alphas of Eq. 5: first the user's own, then one
for each rationale (0 where there is none).

What a ranker is given of a user are some of `USER_INPUTS`; its `config.json` names them under `inputs`. The rationale
is among them in every variant, read or not: the variants of one backbone have one signature, so that each of them can
be released as a version of one Triton model and stand in for another. Rankers of another signature need another model
name or another model repository.
"""

from typing import Any

HISTORY_LENGTH = 50
RATIONALES_PER_USER = 1  # K; the paper attaches one rationale to a user (Eq. 3)

MODEL_NAME = "reland_ranker"
HISTORY, RATIONALE, CANDIDATES = "history", "rationale", "candidates"
USER_INPUTS = (HISTORY, RATIONALE)
OUTPUTS = ("scores", "fusion_weights")


def user_inputs_of(configuration: dict[str, Any]) -> tuple[str, ...]:
    """What a ranker is given of a user, in the order of `USER_INPUTS`.

    Args:
        configuration: the ranker's `config.json`.

    Raises:
        KeyError: it does not say.
        ValueError: it names an input that is none of `USER_INPUTS`.
    """
    declared = configuration["inputs"]
    if unknown := set(declared) - set(USER_INPUTS):
        raise ValueError(f"inputs {', '.join(sorted(unknown))}: unknown, expected {', '.join(USER_INPUTS)}")
    return tuple(name for name in USER_INPUTS if name in declared)
