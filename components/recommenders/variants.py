"""The variants of a ranker: what texts add to a backbone. Columns of the paper's Table 2, ablations, controls, rivals.

A variant is a row of this table: what stands for an item, which texts of a user are read, and how. Whatever it adds, a
score stays the product of an item's row and a user's vector, so every variant is exported and served alike. Imports no
torch.
"""

from dataclasses import dataclass

from components.foundation.errors import InputError

ID_ONLY, ITEM_FEATURES, RELAND = "id_only", "item_features", "reland"

# What stands for an item: a learned vector; it and the text, projected together (section 4.2); the text frozen and
# standardised, beside learned components of their own (AlphaFuse).
IDS, IDS_AND_TEXT, TEXT_AND_IDS = "ids", "ids_and_text", "text_and_ids"

# Which rationales a user is given (`rationale_assignments`): the matched ones, or what stands in for them as a control.
MATCHED, SHUFFLED, NOISE, CONSTANT, SEED_CATEGORIES = RATIONALE_SOURCES = (
    "matched",
    "shuffled",
    "noise",
    "constant",
    "seed_categories",
)

# Which pool is borrowed from at request time: the rationales, or what stands in for them as a control.
POOL_RATIONALES, POOL_SHUFFLED, POOL_HISTORIES = POOL_SOURCES = ("rationales", "shuffled", "histories")

RECENT = 5  # items of a history that late texts and the attention to the pool read

# Losses beside the objective, which need nothing at serving.
CONTRASTIVE, ALIGNMENT = "contrastive", "alignment"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What one variant is made of.

    Attributes:
        description: what it is and where it comes from, in a sentence.
        against: the variants that it is compared with: what it has to beat before anything is said for it.
        items: what stands for an item, of `IDS`, `IDS_AND_TEXT`, `TEXT_AND_IDS`.
        rationales: which rationales a user is given, of `RATIONALE_SOURCES`; "" where none is read.
        fused: whether they are fused with the user's vector (Eq. 4 and 5).
        late_text: whether the similarity of an item's text to those of the user's last items is added to its score.
        pool: what is borrowed from seed users whose last items were like the user's, of `POOL_SOURCES`, or "".
        auxiliary: a loss beside the objective that reads the rationales or their seed users, or "".
    """

    description: str
    against: tuple[str, ...] = ()
    items: str = IDS
    rationales: str = ""
    fused: bool = False
    late_text: bool = False
    pool: str = ""
    auxiliary: str = ""

    @property
    def reads_item_texts(self) -> bool:
        """Whether the ranker has to be given the embeddings of the items' texts."""
        return self.items != IDS or self.late_text

    @property
    def reads_seed_users(self) -> bool:
        """Whether it reads what is known of seed users: their rationales, or what stands in for them as a control."""
        return bool(self.rationales or self.pool)


def _fused(description: str, rationales: str, against: tuple[str, ...] = (ITEM_FEATURES,)) -> Variant:
    return Variant(description=description, against=against, items=IDS_AND_TEXT, rationales=rationales, fused=True)


VARIANTS = {
    ID_ONLY: Variant(description="the backbone alone"),
    ITEM_FEATURES: Variant(
        description="items' texts, projected together with their learned vectors (section 4.2)",
        against=(ID_ONLY,),
        items=IDS_AND_TEXT,
    ),
    RELAND: _fused(
        "`item_features`, and the matched rationale fused with the user's vector (Eq. 4 and 5)",
        MATCHED,
        against=(ITEM_FEATURES, "reland_shuffled"),
    ),
    "without_item_features": Variant(
        description="ablation (Figure 5): the matched rationale without the items' texts",
        against=(ID_ONLY,),
        rationales=MATCHED,
        fused=True,
    ),
    "reland_shuffled": _fused("control: the same rationales, dealt to random users", SHUFFLED),
    "reland_noise": _fused("control: random vectors of the rationales' lengths in their place", NOISE),
    "reland_constant": _fused("control: the mean of all rationales for every user", CONSTANT),
    "reland_seed_categories": _fused(
        "control: which categories the matched seed user's training items have, which counting tells", SEED_CATEGORIES
    ),
    "late_text": Variant(
        description="similarity of an item's text to those of the user's last items, added to its score by a gate that "
        "is learned for each length of history; no language model",
        against=(ID_ONLY, ITEM_FEATURES),
        late_text=True,
    ),
    "reland_late_text": Variant(
        description="`late_text`, and the matched rationale fused with the user's vector",
        against=(ITEM_FEATURES, "late_text"),
        late_text=True,
        rationales=MATCHED,
        fused=True,
    ),
    "reland_pool": Variant(
        description="`late_text`, and the rationales of seed users whose last items were like the user's, as a second "
        "query; who they are is found anew after every item",
        against=(ITEM_FEATURES, "late_text", "reland_pool_shuffled", "pool_histories"),
        late_text=True,
        pool=POOL_RATIONALES,
    ),
    "reland_pool_shuffled": Variant(
        description="control: `reland_pool` with the same rationales, dealt to random seed users",
        against=("late_text",),
        late_text=True,
        pool=POOL_SHUFFLED,
    ),
    "pool_histories": Variant(
        description="control: `reland_pool` with the seed users' own training items in place of their rationales",
        against=("late_text",),
        late_text=True,
        pool=POOL_HISTORIES,
    ),
    "reland_contrastive": Variant(
        description="`item_features`; users and their seed user are drawn together in training by a contrastive loss, "
        "nothing is added at serving (the idea of SRA-CL, NeurIPS 2025)",
        against=(ITEM_FEATURES,),
        items=IDS_AND_TEXT,
        rationales=MATCHED,
        auxiliary=CONTRASTIVE,
    ),
    "rlmrec": Variant(
        description="`item_features`; users' vectors are aligned with the matched rationale by a contrastive loss, "
        "nothing is added at serving (RLMRec-Con, WWW 2024)",
        against=(ITEM_FEATURES,),
        items=IDS_AND_TEXT,
        rationales=MATCHED,
        auxiliary=ALIGNMENT,
    ),
    "alphafuse": Variant(
        description="items' texts frozen and standardised, learned vectors in the components that texts leave free "
        "(AlphaFuse, SIGIR 2025); no language model",
        against=(ID_ONLY, ITEM_FEATURES),
        items=TEXT_AND_IDS,
    ),
}


def variant_named(name: str) -> Variant:
    """The entry of a variant.

    Raises:
        InputError: there is no variant of this name.
    """
    if name not in VARIANTS:
        raise InputError(f"variant {name!r}: unknown variant, expected one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
