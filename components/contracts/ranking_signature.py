"""The one signature of every version of the Triton model `reland_ranker` (another signature is another model name).

========================  ==========================  =====================================================
input                     type                        meaning
========================  ==========================  =====================================================
`history`                 int64[B, HISTORY_LENGTH]    item indices, oldest first, 0-padded at the end
`user_vector`             float32[B, d]               behavior embedding m_u
`rationale`               float32[B, K, t]            rationale embeddings; a zero row is no rationale
`candidates`              int64[B, C]                 item indices to score
========================  ==========================  =====================================================

Outputs: `scores` float32[B, C]; `fusion_weights` float32[B, K + 1], the alphas of Eq. 5: first the user's own, then one
for each rationale (0 where there is none).
"""

HISTORY_LENGTH = 50
RATIONALES_PER_USER = 1  # K; the paper attaches one rationale to a user (Eq. 3)

MODEL_NAME = "reland_ranker"
INPUTS = ("history", "user_vector", "rationale", "candidates")
OUTPUTS = ("scores", "fusion_weights")
