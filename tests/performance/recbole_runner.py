"""RecBole's side of `tests.performance.data_preparation`: runs in RecBole's own environment, imports nothing of ours.

    python recbole_runner.py FOLDER NAME ...

Each NAME is a data set as RecBole expects it, `FOLDER/NAME/NAME.inter`; all are prepared in turn, and one JSON line is
printed for the last. Made for RecBole 1.2.1, NumPy 2 and SciPy 1.15 and later, which it knows nothing of.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

for alias, kind in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_), ("bool8", np.bool_)):
    if not hasattr(np, alias):
        setattr(np, alias, kind)
torch_load = torch.load
torch.load = lambda *arguments, **options: torch_load(*arguments, **{"weights_only": False, **options})
scipy.sparse.dok_matrix._update = lambda self, entries: self._dict.update(entries)

import recbole  # noqa: E402
from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402

VERSION = "1.2.1"
SETTINGS = {
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "user_inter_num_interval": "[5,inf)",
    "item_inter_num_interval": "[5,inf)",
    "MAX_ITEM_LIST_LENGTH": 50,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    "loss_type": "CE",
    "train_neg_sample_args": None,
    "use_gpu": False,
}


def prepare(folder: Path, name: str) -> dict[str, float | int]:
    """Seconds of the two calls, and what is left after the k-core."""
    config = Config(model="SASRec", dataset=name, config_dict={**SETTINGS, "data_path": folder})
    begin = time.perf_counter()
    dataset = create_dataset(config)
    # Without RecBole's padding entries; before the split makes its training windows.
    left = {"users": dataset.user_num - 1, "items": dataset.item_num - 1, "interactions": dataset.inter_num}
    data_preparation(config, dataset)
    return {"seconds": time.perf_counter() - begin, **left}


def main() -> None:
    if recbole.__version__ != VERSION:
        sys.exit(f"RecBole {recbole.__version__} is installed, expected {VERSION}")
    folder, names = Path(sys.argv[1]).resolve(), sys.argv[2:]
    sys.argv = sys.argv[:1]  # RecBole reads settings from it
    with tempfile.TemporaryDirectory() as working:
        os.chdir(working)  # RecBole looks for saved data sets in the working folder
        for name in names:
            outcome = prepare(folder, name)
    print(json.dumps({**outcome, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))


if __name__ == "__main__":
    main()
