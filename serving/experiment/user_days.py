"""What analysis knows of an experiment: what each user was shown and did, day by day.

These tables are the boundary. The join of exposures and outcomes makes them, replays of a simulated market make them
without a server, and analysis reads nothing else, so equal tables give equal results.
"""

import pyarrow as pa


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


# One row for each user, arm, state of the arms' record and day on which the user was served a list. `impressions` are
# items shown; `clicks` and `conversions` are of lists of this day, each item of a list counted once. CTR is
# clicks / impressions, CVR is conversions / clicks (Table 4 of the paper). `ranked_lists` are the lists for which
# an arm can matter: new users are answered with what is popular by every arm. `value` is what the conversions are
# worth, in the unit of `ITEM_VALUES`, and 0 where no value is given.
USER_DAYS = pa.schema(
    [
        _required("state", pa.int64()),
        _required("arm", pa.string()),
        _required("user_id", pa.string()),
        _required("day", pa.date32()),
        _required("lists", pa.int64()),
        _required("impressions", pa.int64()),
        _required("clicks", pa.int64()),
        _required("conversions", pa.int64()),
        _required("ranked_lists", pa.int64()),
        _required("value", pa.float64()),
    ]
)

# What a conversion of an item is worth: its price or margin, in any unit.
ITEM_VALUES = pa.schema([_required("item_id", pa.string()), _required("value", pa.float64())])

# What users did before the experiment, which it cannot have changed: one row for each user; one who is not in it did
# nothing. Levels of activity and the covariates of CUPED are made of it.
ACTIVITY = pa.schema(
    [
        _required("user_id", pa.string()),
        _required("impressions", pa.int64()),  # 0 where it is unknown what was shown
        _required("clicks", pa.int64()),
        _required("conversions", pa.int64()),
    ]
)
