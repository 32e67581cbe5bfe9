"""Warnings of libraries about their own code, which whoever runs the platform can do nothing about."""

import re
import warnings
from typing import TextIO

# How the text of each begins: regular expressions, without a colon, at which pytest would divide them.
LIBRARY_WARNINGS = (
    r'Field name "\w+" in "MilvusOnlineStoreConfig" shadows an attribute',  # Feast, when it is imported
    r"Clearing labels has not been implemented in multi-process mode",  # prometheus_client, in the mode Feast sets
    r"float_precision option is deprecated for json_format",  # protobuf, of Feast's answers
    r"label\(\) is deprecated\. Use is_required\(\) or is_repeated\(\)",  # protobuf, of what the clients generate
    r"The ``noload`` loader strategy is deprecated",  # SQLAlchemy, of MLflow's mappers
    r"'\.\w+\(\)' is not used by the current local runner",  # kfp.local, of settings for a cluster
    r"Task '.*'\W settings .* have no effect in the current local runner",  # the same
    r"You may be attemping to run a task that uses custom or non-Python base image",  # kfp.local, of the steps' images
    r"This client only works with Kubeflow Pipeline v2",  # kfp.Client, whenever it is made
)


def silence_library_warnings() -> None:
    """Keep `LIBRARY_WARNINGS` from being printed by this process; all other warnings are printed as before.

    Not by filters: Feast, when it is imported, puts filters of its own before those that are there.
    """
    print_warning = warnings.showwarning

    def print_unless_listed(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not any(re.match(beginning, str(message)) for beginning in LIBRARY_WARNINGS):
            print_warning(message, category, filename, lineno, file, line)

    warnings.showwarning = print_unless_listed
