"""How a step says what it is doing, in a terminal, in a pod's log and under the local runner alike."""

from components.foundation.redaction import without_passwords

PROGRESS_PREFIX = "[reland] "


def say(message: str) -> None:
    """Print one line of progress at once, marked so that a runner can distinguish it from what libraries print."""
    print(f"{PROGRESS_PREFIX}{without_passwords(message)}", flush=True)
