"""RecBole's side of `tests.performance.encoder`: runs in RecBole's own environment, imports nothing of ours.

    python recbole_lightgcn.py FOLDER SECONDS SETTINGS

FOLDER holds `data/data.{train,valid,test}.inter`, whose ids are numbers. LightGCN is trained with SETTINGS (a JSON
object of RecBole's settings) epoch by epoch until SECONDS of training are over; after each epoch its vectors go to
`FOLDER/epoch-<n>.npz` and one JSON line to the output. Made for RecBole 1.2.1, NumPy 2 and SciPy 1.15 and later, which
it knows nothing of.
"""

import json
import os
import sys
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

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.model.general_recommender import LightGCN  # noqa: E402
from recbole.trainer import Trainer  # noqa: E402

SETTINGS = {
    "benchmark_filename": ["train", "valid", "test"],
    "load_col": {"inter": ["user_id", "item_id"]},
    "eval_args": {"group_by": "user", "order": "TO", "mode": "full"},
    "use_gpu": False,
    "show_progress": False,
}


def main() -> None:
    folder, budget, settings = Path(sys.argv[1]).resolve(), float(sys.argv[2]), json.loads(sys.argv[3])
    sys.argv = sys.argv[:1]  # RecBole reads settings from it
    os.chdir(folder)  # RecBole writes logs and saved models into the working folder
    config = Config(model="LightGCN", dataset="data", config_dict={**SETTINGS, **settings, "data_path": str(folder)})
    dataset = create_dataset(config)
    training, _, _ = data_preparation(config, dataset)
    torch.manual_seed(0)
    model = LightGCN(config, training.dataset)
    trainer = Trainer(config, model)
    # Row 0 is padding; tokens are the numbers that we have written.
    tokens = {
        name: dataset.id2token(field, np.arange(1, dataset.num(field))).astype(np.int64)
        for name, field in (("user_ids", "user_id"), ("item_ids", "item_id"))
    }
    seconds, epoch = 0.0, 0
    while seconds < budget:
        begin = time.perf_counter()
        loss = trainer._train_epoch(training, epoch)
        seconds += time.perf_counter() - begin
        epoch += 1
        with torch.no_grad():
            users, items = model.forward()
        np.savez(folder / f"epoch-{epoch}.npz", users=users[1:].numpy(), items=items[1:].numpy(), **tokens)
        print(json.dumps({"epoch": epoch, "seconds": seconds, "loss": float(loss)}), flush=True)


if __name__ == "__main__":
    main()
