"""The container image of each dependency group. A step names its image by group; `infra/images` builds them."""

VERSION = "0.1.0"

DATA = f"reland/data:{VERSION}"
ENCODER = f"reland/encoder:{VERSION}"
TUNING = f"reland/tuning:{VERSION}"
GENERATION = f"reland/generation:{VERSION}"
POOL = f"reland/pool:{VERSION}"
RANKER = f"reland/ranker:{VERSION}"
FEATURES = f"reland/features:{VERSION}"
TRITON = f"reland/triton:{VERSION}"
