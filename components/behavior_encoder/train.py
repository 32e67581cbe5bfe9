"""Train an encoder on a machine of its own, alone or as one of several processes.

    python -m components.behavior_encoder.train --encoder sasrec --prepared FOLDER --output FOLDER
    torchrun --nproc-per-node 2 -m components.behavior_encoder.train --encoder sasrec ...

Under `torchrun` each process computes its share of every batch and the gradients are added up (gloo on CPUs, nccl on
GPUs), so the number of processes does not change what is learned. The first one writes the encoder.
`infra/kustomize/jobs/behavior-encoder` runs this on a Kubeflow cluster. A run that has prepared the same data and is
given the output folder as its `--encoder` registers this encoder and goes on from it.
"""

import argparse
import sys
from pathlib import Path

import torch

from components.behavior_encoder.configuration import EncoderSection
from components.behavior_encoder.encoders import ENCODERS, configured_encoder
from components.foundation.errors import EnvironmentFaultError, RelandError
from components.foundation.files import read_toml
from components.foundation.progress import say
from components.recommenders.training.processes import (
    TrainingResources,
    current_share,
    default_device,
    process_group,
)


def main(arguments: list[str]) -> None:
    """Train the encoder that the command line names, and save it."""
    parser = argparse.ArgumentParser(prog="python -m components.behavior_encoder.train")
    parser.add_argument("--encoder", choices=sorted(ENCODERS), help="which one, where the file does not say it")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of a prepared data set")
    parser.add_argument("--output", type=Path, required=True, help="folder of the trained encoder")
    parser.add_argument("--config", type=Path, help="TOML file of `reland run --config`: its section encoder, its seed")
    parser.add_argument("--checkpoint", type=Path, help="folder to keep the state of training in, and to go on from")
    parser.add_argument("--device", choices=["cpu", "cuda"], default=default_device())
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise EnvironmentFaultError("--device cuda: torch finds no GPU on this machine")
    values = read_toml(options.config) if options.config else {}
    section = EncoderSection.read(values.get("encoder", {}) | ({"encoder": options.encoder} if options.encoder else {}))
    encoder = configured_encoder(section.encoder, section.settings, values.get("seed", 0))
    with process_group(options.device):
        encoder.fit(options.prepared, TrainingResources(checkpoint=options.checkpoint, device=options.device))
        if current_share().rank == 0:
            encoder.save(options.output)
            say(f"written: {options.output}; `reland run --encoder {options.output}` registers it and goes on from it")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except RelandError as error:
        print(f"behavior_encoder.train: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
