"""`python -m feature_repo.server`: Feast's own feature server over the stores that the settings name.

For services that read features without Python; the gateway reads the online store itself. It does not authenticate
requests: on an address other than loopback, a proxy in front of it has to.
"""

import argparse
import sys

from components.foundation.errors import RelandError
from components.foundation.settings import load_settings
from feature_repo.store import open_feature_store


def main() -> None:
    """Parse the command line and serve until the process is ended."""
    parser = argparse.ArgumentParser(description="Serve the features of the online store over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=6566)
    arguments = parser.parse_args()
    try:
        store = open_feature_store(load_settings())
    except RelandError as error:
        print(f"reland: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    store.serve(arguments.host, arguments.port, no_access_log=True)


if __name__ == "__main__":
    main()
