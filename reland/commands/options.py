"""Options that several commands take, each under one name and with one explanation."""

from typing import Annotated

import typer

from components.behavior_encoder.encoders import ENCODERS

Dataset = Annotated[
    str,
    typer.Option(
        help="simulator (or simulator:USERS), ml-1m, amazon-beauty, or the path of a file or folder: its format is "
        "found out."
    ),
]
DataDir = Annotated[str, typer.Option(help="Folder of the data set's files. Default: the setting RELAND_DATA_DIR.")]
MinimumInteractions = Annotated[int, typer.Option(help="k of the k-core filter; a user needs 3 items in any case.")]
Splits = Annotated[
    str, typer.Option(help="How interactions are split, separated by commas: leave_one_out, ratio (80/10/10), time.")
]
ValidateFrom = Annotated[
    str,
    typer.Option(help="First moment to validate with (ISO, UTC), of the split time. Default: after 80% of the rows."),
]
TestFrom = Annotated[str, typer.Option(help="First moment to test with, likewise. Default: after 90% of the rows.")]
Previous = Annotated[
    str,
    typer.Option(help="Folder that `prepare` has written: the data set is added to what it accepted, as new days are."),
]
Encoder = Annotated[
    str,
    typer.Option(
        help=f"Behavior encoder to train: {', '.join(sorted(ENCODERS))}; or the folder of one trained on the same data."
    ),
]
SeedFraction = Annotated[float, typer.Option(help="Share of the users that become seed users.")]
SeedPolicy = Annotated[
    str, typer.Option(help="Who becomes a seed user: adaptive, random, representative, important, facility_location.")
]
Clusters = Annotated[int, typer.Option(help="Clusters of the seed sampling; 0 is 5% of the users.")]
PreviousSeeds = Annotated[
    str,
    typer.Option(help="Last week's seeds.parquet: its seed users stay where they still fit. Default: a new sampling."),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and progress to standard error.")]
