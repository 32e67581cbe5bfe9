"""Who may ask: anyone on this machine, holders of an API key, or of an OpenID Connect token.

Settings that contradict each other end the gateway at its start: a key file that nobody would ask for, an open gateway
on an address that other machines reach. Keys are kept as SHA-256, so the file gives none away; it is read again when it
changes, so that a key is given out or revoked while the gateway runs.
"""

import asyncio
import hashlib
import ipaddress
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.request import urlopen

from components.foundation.errors import EnvironmentFaultError, InputError, RelandError
from components.foundation.files import read_json
from components.foundation.progress import say
from components.foundation.settings import Settings

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")  # signatures alone: no shared secret
KEYS_SECONDS = 300.0  # how long the issuer's keys are used before they are read again
UNKNOWN_KEY_SECONDS = 10.0  # tokens with invented key ids make the gateway ask the issuer this often at most
FETCH_SECONDS = 5.0
LOOK_SECONDS = 1.0  # between two looks at the file of keys
LEEWAY_SECONDS = 60.0  # by which the clocks of issuer and gateway may differ

# What a principal may ask for: lists and explanations; to say what became of them; the metrics.
SERVE, EVENTS, OPERATE = "serve", "events", "operate"
SCOPES = (SERVE, EVENTS, OPERATE)
USUAL_SCOPES = frozenset({SERVE, EVENTS})  # of a key or token that states none


class UnauthorizedError(Exception):
    """The request names no one who may ask; the message may be shown to whoever asks."""


@dataclass(frozen=True)
class Principal:
    """Who asks; `user_id` is the one user it may ask for, None where it may ask for all."""

    name: str
    user_id: str | None = None
    scopes: frozenset[str] = USUAL_SCOPES


class Authenticator(Protocol):
    """Finds out who asks."""

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """The principal of a request, by its headers (names in lower case).

        Raises:
            UnauthorizedError: there is none.
        """


def open_authenticator(settings: Settings) -> Authenticator:
    """What `RELAND_GATEWAY_AUTH` asks for.

    Raises:
        InputError: a setting that it needs is missing or wrong, or one is given that it would ignore.
    """
    oidc = {
        "RELAND_GATEWAY_OIDC_ISSUER": settings.gateway_oidc_issuer,
        "RELAND_GATEWAY_OIDC_AUDIENCE": settings.gateway_oidc_audience,
        "RELAND_GATEWAY_OIDC_KEYS": settings.gateway_oidc_keys,
    }
    given = {
        "keys": ["RELAND_GATEWAY_KEYS"] if settings.gateway_keys is not None else [],
        "oidc": [name for name, value in oidc.items() if value]
        + (["RELAND_GATEWAY_OIDC_USER_CLAIM"] if settings.gateway_oidc_user_claim else []),
    }
    for auth, names in given.items():
        if names and settings.gateway_auth != auth:
            raise InputError(f"setting {names[0]}: is for RELAND_GATEWAY_AUTH={auth}, which is {settings.gateway_auth}")
    if settings.gateway_auth == "keys":
        if settings.gateway_keys is None:
            raise InputError("setting RELAND_GATEWAY_AUTH: keys needs RELAND_GATEWAY_KEYS, the file of the keys")
        return ApiKeys(settings.gateway_keys)
    if settings.gateway_auth == "oidc":
        missing = [name for name, value in oidc.items() if not value]
        if missing:
            raise InputError(f"setting RELAND_GATEWAY_AUTH: oidc needs {missing[0]}, which is not set")
        return OidcTokens(
            settings.gateway_oidc_issuer,
            settings.gateway_oidc_audience,
            settings.gateway_oidc_keys,
            settings.gateway_oidc_user_claim,
        )
    if not is_loopback(settings.gateway_host):
        raise InputError(
            f"setting RELAND_GATEWAY_AUTH: none lets everyone in whom RELAND_GATEWAY_HOST={settings.gateway_host} "
            "reaches, expected keys or oidc, or a loopback address"
        )
    return Anyone()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost may be any address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_api_keys(path: Path) -> dict[str, Principal]:
    """The principals of the keys, by the keys' SHA-256 (hexadecimal, lower case).

    Raises:
        InputError: the file is missing or no such file of keys.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected an object of at least one key, name: SHA-256 in hexadecimal")
    principals: dict[str, Principal] = {}
    for name, key in content.items():
        digest, scopes = key, list(USUAL_SCOPES)
        if isinstance(key, dict):
            if set(key) != {"sha256", "scopes"} or not isinstance(key["scopes"], list):
                raise InputError(f"{path}: key {name!r}: expected sha256 and scopes, a list")
            digest, scopes = key["sha256"], key["scopes"]
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise InputError(f"{path}: key {name!r}: expected the SHA-256 of the key, 64 hexadecimal digits")
        for scope in scopes:
            if scope not in SCOPES:
                raise InputError(f"{path}: key {name!r}: no scope {scope!r}, expected some of {', '.join(SCOPES)}")
        if digest in principals:
            raise InputError(f"{path}: {principals[digest].name!r} and {name!r} have one key")
        principals[digest] = Principal(name, scopes=frozenset(scopes))
    return principals


class Anyone:
    """Lets everyone in; for a gateway on loopback."""

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Who asks, by what this kind of authentication reads of the request."""
        return Principal("anyone", scopes=frozenset(SCOPES))


class ApiKeys:
    """Lets in who sends a key of the file, as `X-API-Key: KEY` or `Authorization: Bearer KEY`."""

    def __init__(self, file: Path):
        """
        Raises:
            InputError: the file is missing or no file of keys.
        """
        self._file = file
        self._state = _state_of(file)
        self._principals = read_api_keys(file)
        self._looked = time.monotonic()

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Who asks, by what this kind of authentication reads of the request."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            self._read_again()
        key = headers.get(b"x-api-key") or _bearer(headers)
        principal = self._principals.get(hashlib.sha256(key).hexdigest())
        if principal is None:
            raise UnauthorizedError("the API key is not known")
        return principal

    def _read_again(self) -> None:
        state = _state_of(self._file)
        if state == self._state:
            return
        try:
            principals = read_api_keys(self._file)
        except InputError as error:
            say(f"the keys stay as they are, none is revoked: {error}")
            self._state = state  # said once; the next change is looked at again
            return
        revoked = {one.name for one in self._principals.values()} - {one.name for one in principals.values()}
        self._state, self._principals = state, principals
        say(f"took over the keys: {len(principals)}" + (f", revoked {', '.join(sorted(revoked))}" if revoked else ""))


def _state_of(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


class OidcTokens:
    """Lets in who sends a token that the issuer has signed for this audience and that has not expired."""

    def __init__(self, issuer: str, audience: str, keys: str, user_claim: str):
        """`keys` is the URL or the file of the issuer's keys (JWKS).

        Raises:
            RelandError: the keys cannot be read.
        """
        self._issuer = issuer
        self._audience = audience
        self._source = keys
        self._user_claim = user_claim
        self._lock = asyncio.Lock()
        self._read = time.monotonic()
        self._keys = self._read_keys()

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Who asks, by what this kind of authentication reads of the request."""
        import jwt

        token = _bearer(headers)
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise UnauthorizedError(f"the token is not valid: {error}") from error
        if not self._user_claim:
            stated = claims.get("scope")
            operates = isinstance(stated, str) and OPERATE in stated.split()
            return Principal(claims["sub"], scopes=USUAL_SCOPES | ({OPERATE} if operates else set()))
        user_id = claims.get(self._user_claim)
        if not isinstance(user_id, str) or not user_id:
            raise UnauthorizedError("the token names no user")
        return Principal(claims["sub"], user_id)

    async def _key(self, key_id: str | None) -> "PyJWK":
        age = time.monotonic() - self._read
        if age > KEYS_SECONDS or (key_id not in self._keys and age > UNKNOWN_KEY_SECONDS):
            async with self._lock:
                if time.monotonic() - self._read > UNKNOWN_KEY_SECONDS:  # nobody has read them while we waited
                    self._read = time.monotonic()
                    with suppress(RelandError):  # the keys that are known stay
                        self._keys = await asyncio.to_thread(self._read_keys)
        if key_id not in self._keys:
            raise UnauthorizedError("the token is signed with a key that the issuer does not name")
        return self._keys[key_id]

    def _read_keys(self) -> dict[str | None, "PyJWK"]:
        from jwt import PyJWKSet, PyJWTError

        is_address = re.match(r"https?://", self._source) is not None
        try:
            if is_address:
                with urlopen(self._source, timeout=FETCH_SECONDS) as answer:
                    text = answer.read()
            else:
                text = Path(self._source).read_bytes()
            return {key.key_id: key for key in PyJWKSet.from_json(text).keys}
        except (OSError, ValueError, PyJWTError) as error:
            unreachable = isinstance(error, OSError) and is_address
            kind = EnvironmentFaultError if unreachable else InputError
            raise kind(f"setting RELAND_GATEWAY_OIDC_KEYS: {self._source}: no keys ({error})") from error


def _bearer(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not value.strip():
        raise UnauthorizedError("the request has no key and no token")
    return value.strip()
