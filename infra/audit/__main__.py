"""`python -m infra.audit {licences,advisories}`: what the pinned dependencies may be, and what is known against them.

Both fail where they could look at nothing: an audit that saw nothing says nothing.
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
    parser = argparse.ArgumentParser(prog="python -m infra.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("licences", help="of what is installed here and pinned")
    advisories = commands.add_parser("advisories", help="known against what is pinned")
    advisories.add_argument("--file", type=Path, help=f"saved copy of {OSV}. Default: it is fetched")
    arguments = parser.parse_args()
    try:
        policy = read_policy(Path(__file__).parent / "policy.toml")
        if arguments.command == "licences":
            told, faults = check_licences(read_pins([ROOT / PINS[0]]), policy)
        else:
            known = load_advisories(arguments.file, datetime.now(UTC))
            told, faults = audit(read_pins([ROOT / name for name in PINS]), known, policy)
    except RelandError as error:
        print(f"audit: {error}", file=sys.stderr)
        return error.exit_status
    for fault in faults:
        print(fault)
    print(told)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
