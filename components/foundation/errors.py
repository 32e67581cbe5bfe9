"""The one kind of failure a user of the platform is meant to read."""


class InputError(Exception):
    """A fault of a file or a setting that the user can mend.

    The message is one line that names the file (and line) or the setting, says what is wrong with it and, where it
    helps, what was expected. Commands print it as it is and end with a non-zero status; they print no traceback.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


def first_line(error: Exception) -> str:
    """What a library says is wrong, without the paragraphs of advice that may follow."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
