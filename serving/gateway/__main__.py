"""`python -m serving.gateway`: one gateway process, configured by the settings; `reland serve` starts one."""

import logging
import os
import resource
import sys

import uvicorn

from components.foundation.errors import RelandError
from components.foundation.library_warnings import silence_library_warnings
from components.foundation.progress import say
from components.foundation.settings import Settings, load_settings
from serving.gateway.app import create_app
from serving.gateway.connections import KEEP_ALIVE_SECONDS, Connections, protocol_of

CLOSE_SECONDS = 5  # what requests at work get when the process is asked to end
OPEN_FILES = 65_536  # many a shell allows 1,024, which the connections alone may need


def serve(settings: Settings) -> None:
    """Answer requests until a signal comes.

    Raises:
        InputError: a setting is at fault.
        EnvironmentFaultError: the address is in use.
    """
    _allow_open_files()
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            host=settings.gateway_host,
            port=settings.gateway_port,
            loop="uvloop",
            http=protocol_of(Connections()),
            ws="none",
            access_log=settings.gateway_log_requests,
            log_level="info" if settings.gateway_log_requests else "warning",
            server_header=False,
            proxy_headers=False,  # who asks is told by keys and tokens, never by an address
            timeout_keep_alive=int(KEEP_ALIVE_SECONDS),
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
    )
    server.run()


def _allow_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Run the gateway as a process of its own; a fault of a kind ends it with that kind's status."""
    silence_library_warnings()
    # It prints a traceback for each failed call; the gateway says once what does not answer.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    os.umask(0o077)  # what is logged names users
    try:
        settings = load_settings()
        say(f"gateway: http://{settings.gateway_host}:{settings.gateway_port}")
        serve(settings)
    except RelandError as error:
        print(f"reland: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
