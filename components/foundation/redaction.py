"""Taking secrets out of what is printed or written: the one place that knows how they look inside addresses."""

import re
from urllib.parse import unquote, urlsplit, urlunsplit

STARS = "***"
_SECRETS = (
    re.compile(r"(?<=://)(?P<user>[^/@\s:]*):[^/\s]*(?=@)"),  # scheme://user:password@host; the last @ ends it
    re.compile(r"(?i)\b(?P<name>password|passwd|pwd|token|secret|api[_-]?key|access[_-]?key)=(?!\*)[^\s,;&\"']+"),
)


def without_passwords(text: str) -> str:
    """`text` with stars for the passwords of its URLs and connection strings (`redis:6379,password=…`, `?token=…`)."""
    text = _SECRETS[0].sub(lambda match: f"{match['user']}:{STARS}", text)
    return _SECRETS[1].sub(lambda match: f"{match['name']}={STARS}", text)


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """An HTTP address without its user and password, and these; libraries repeat addresses in what they say.

    Returns:
        None instead of user and password where the address has none, or is none of HTTP.
    """
    parts = urlsplit(url)
    credentials, separator, host = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https") or not separator:
        return url, None
    user, _, password = credentials.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(user), unquote(password))
