"""`python -m infra.audit {licences,advisories}`: licences and known vulnerabilities of the pinned dependencies.

Both fail where there is nothing to check: an empty audit proves nothing.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from components.foundation.errors import RelandError
from infra.audit.advisories import OSV, audit, load_advisories
from infra.audit.licences import check_licences
from infra.audit.pins import read_pins
from infra.audit.policy import read_policy

ROOT = Path(__file__).parents[2]
PINS = ("constraints.txt", "constraints-triton.txt", "constraints-vllm.txt")


def main() -> int:
    """Run one audit, a line for each fault; returns the exit status, 1 with faults."""
    parser = argparse.ArgumentParser(prog="python -m infra.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("licences", help="of what is installed here and pinned")
    command = commands.add_parser("advisories", help="known against what is pinned")
    command.add_argument("--file", type=Path, help=f"saved copy of {OSV}. Default: it is fetched")
    arguments = parser.parse_args()
    try:
        policy = read_policy(Path(__file__).parent / "policy.toml")
        if arguments.command == "licences":
            summary, faults = check_licences(read_pins([ROOT / PINS[0]]), policy)
        else:
            advisories = load_advisories(arguments.file, datetime.now(UTC))
            summary, faults = audit(read_pins([ROOT / name for name in PINS]), advisories, policy)
    except RelandError as error:
        print(f"audit: {error}", file=sys.stderr)
        return error.exit_status
    for fault in faults:
        print(fault)
    print(summary)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
