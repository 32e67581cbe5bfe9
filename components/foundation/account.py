"""Who runs this process, for what is kept of who wanted what."""

import getpass
import os
import platform


def account() -> str:
    """The account and the machine, as `ann on host-1`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a pod's user need not have a name
        name = f"user {os.getuid()}"
    return f"{name} on {platform.node()}"
