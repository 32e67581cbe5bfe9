"""`python -m infra.validation [--policies]`: build and check what is applied to a cluster; status 1 with faults."""

import sys

from components.foundation.errors import RelandError
from infra.validation.consistency import consistency_faults
from infra.validation.manifests import OVERLAYS, build, folders
from infra.validation.policies import policy_faults
from infra.validation.schemas import schema_faults


def main(with_policies: bool) -> int:
    """Check everything, a line for each fault; returns the exit status."""
    status = 0
    for name, folder in folders().items():
        try:
            documents = build(folder)
            faults = [fault for document in documents for fault in schema_faults(document)]
            faults += consistency_faults(documents)
            if with_policies and name in OVERLAYS:  # checkov checks built-in kinds only
                faults += policy_faults(documents)
        except RelandError as error:
            print(f"reland: {error}", file=sys.stderr)
            return error.exit_status
        print(f"{name}: {len(documents)} objects, {len(faults)} faults")
        for fault in faults:
            print(f"  {fault}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main("--policies" in sys.argv[1:]))
