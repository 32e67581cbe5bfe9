import asyncio
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from components.foundation.errors import InputError
from components.foundation.settings import Settings
from serving.gateway import authentication
from serving.gateway.authentication import SCOPES, Principal, UnauthorizedError, open_authenticator

ISSUER, AUDIENCE = "https://issuer.example", "reland"


def ask(authenticator, **headers: str) -> Principal:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return asyncio.run(authenticator.authenticate(named))


def refused(authenticator, **headers: str) -> bool:
    with pytest.raises(UnauthorizedError):
        ask(authenticator, **headers)
    return True


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gateway_host": "0.0.0.0"}, "RELAND_GATEWAY_AUTH: none lets everyone in"),
        ({"gateway_host": "gateway.example"}, "RELAND_GATEWAY_AUTH: none lets everyone in"),
        ({"gateway_keys": "keys.json"}, "RELAND_GATEWAY_KEYS: is for RELAND_GATEWAY_AUTH=keys, which is none"),
        ({"gateway_oidc_issuer": "x"}, "RELAND_GATEWAY_OIDC_ISSUER: is for RELAND_GATEWAY_AUTH=oidc"),
        ({"gateway_oidc_user_claim": "x"}, "RELAND_GATEWAY_OIDC_USER_CLAIM: is for RELAND_GATEWAY_AUTH=oidc"),
        ({"gateway_auth": "keys"}, "keys needs RELAND_GATEWAY_KEYS"),
        ({"gateway_auth": "keys", "gateway_keys": "none.json"}, "no such file"),
        ({"gateway_auth": "oidc", "gateway_oidc_issuer": "x"}, "oidc needs RELAND_GATEWAY_OIDC_AUDIENCE"),
        (
            {"gateway_auth": "oidc", "gateway_oidc_issuer": "x", "gateway_oidc_audience": "y"}
            | {"gateway_oidc_keys": "none.json"},
            "RELAND_GATEWAY_OIDC_KEYS: none.json: no keys",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, told):
    with pytest.raises(InputError, match=told):
        open_authenticator(Settings(**changes))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_loopback_anyone_may_ask(host):
    assert ask(open_authenticator(Settings(gateway_host=host))) == Principal("anyone", scopes=frozenset(SCOPES))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"shop": "secret"}',
        '{"shop": 1}',
        f'{{"shop": "{"0" * 64}", "other": "{"0" * 64}"}}',
        f'{{"shop": {{"sha256": "{"0" * 64}"}}}}',
        f'{{"shop": {{"sha256": "{"0" * 64}", "scopes": ["all"]}}}}',
    ],
)
def test_a_file_that_is_no_file_of_keys_is_refused(tmp_path, content):
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"keys\.json"):
        open_authenticator(Settings(gateway_auth="keys", gateway_keys=path))


def test_a_key_is_known_by_its_hash(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"shop": hashlib.sha256(b"open sesame").hexdigest()}))
    keys = open_authenticator(Settings(gateway_auth="keys", gateway_keys=path, gateway_host="0.0.0.0"))
    assert ask(keys, x_api_key="open sesame") == Principal("shop")
    assert ask(keys, authorization="bearer open sesame") == Principal("shop")
    assert refused(keys, x_api_key="shop")
    assert refused(keys, authorization="Basic open sesame")
    assert refused(keys, authorization="Bearer ")
    assert refused(keys)


def test_keys_are_given_out_and_revoked_while_the_gateway_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(authentication, "LOOK_SECONDS", -1.0)
    path = tmp_path / "keys.json"
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("old", "new")}
    path.write_text(json.dumps({"shop": digests["old"]}))
    keys = open_authenticator(Settings(gateway_auth="keys", gateway_keys=path))
    assert ask(keys, x_api_key="old") == Principal("shop")
    path.write_text(json.dumps({"monitor": {"sha256": digests["new"], "scopes": ["operate"]}}))
    assert ask(keys, x_api_key="new") == Principal("monitor", scopes=frozenset({"operate"}))
    assert refused(keys, x_api_key="old") and "revoked shop" in capsys.readouterr().out
    path.write_text("{")
    assert ask(keys, x_api_key="new").name == "monitor"
    assert "the keys stay as they are, none is revoked" in capsys.readouterr().out


class Issuer:
    """An issuer of tokens: a key of its own, named by `key_id`, and the JWKS of it."""

    def __init__(self, key_id: str):
        self.key_id = key_id
        self.key = ec.generate_private_key(ec.SECP256R1())

    def jwks(self) -> str:
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**public, "kid": self.key_id, "alg": "ES256", "use": "sig"}]})

    def bearer(self, **changes) -> str:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "shop", "exp": time.time() + 60} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return "Bearer " + jwt.encode(claims, self.key, "ES256", {"kid": self.key_id})


def oidc(source: str, **changes) -> Settings:
    return Settings(
        gateway_auth="oidc",
        gateway_oidc_issuer=ISSUER,
        gateway_oidc_audience=AUDIENCE,
        gateway_oidc_keys=source,
        **changes,
    )


def test_a_token_counts_if_it_is_signed_for_this_audience_and_has_not_expired(tmp_path):
    issuer, other = Issuer("one"), Issuer("one")
    (tmp_path / "jwks.json").write_text(issuer.jwks())
    tokens = open_authenticator(oidc(str(tmp_path / "jwks.json")))
    assert ask(tokens, authorization=issuer.bearer()) == Principal("shop")
    for changes in ({"aud": "x"}, {"iss": "x"}, {"exp": time.time() - 90}, {"exp": None}, {"sub": None}, {"aud": None}):
        assert refused(tokens, authorization=issuer.bearer(**changes))
    assert ask(tokens, authorization=issuer.bearer(exp=time.time() - 30)) == Principal("shop")  # clocks differ
    operator = ask(tokens, authorization=issuer.bearer(scope="openid operate"))
    assert operator == Principal("shop", scopes=frozenset(SCOPES))
    assert refused(tokens, authorization=other.bearer())
    assert refused(tokens, authorization=Issuer("two").bearer())
    unsigned = jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "shop", "exp": time.time() + 60}, None, "none")
    assert refused(tokens, authorization=f"Bearer {unsigned}")
    assert refused(tokens, authorization="Bearer a.b.c")


def test_a_token_of_a_user_is_for_this_user(tmp_path):
    issuer = Issuer("one")
    (tmp_path / "jwks.json").write_text(issuer.jwks())
    tokens = open_authenticator(oidc(str(tmp_path / "jwks.json"), gateway_oidc_user_claim="user"))
    assert ask(tokens, authorization=issuer.bearer(user="u-1")) == Principal("shop", "u-1")
    assert refused(tokens, authorization=issuer.bearer())
    assert refused(tokens, authorization=issuer.bearer(user=["u-1"]))


def test_keys_are_read_again_when_the_issuer_changes_them_and_not_for_every_invented_key(monkeypatch):
    served = {"jwks": "", "reads": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served["reads"] += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(served["jwks"].encode())

        def log_message(self, *_):
            pass

    old, new = Issuer("old"), Issuer("new")
    served["jwks"] = old.jwks()
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tokens = open_authenticator(oidc(f"http://127.0.0.1:{server.server_port}/jwks"))
        served["jwks"] = new.jwks()
        assert refused(tokens, authorization=new.bearer()) and served["reads"] == 1
        monkeypatch.setattr(authentication, "UNKNOWN_KEY_SECONDS", -1.0)
        assert ask(tokens, authorization=new.bearer()) == Principal("shop")
        assert served["reads"] == 2
        server.shutdown()
    # The issuer is gone: the keys that are known stay in use.
    assert refused(tokens, authorization=old.bearer())
    assert ask(tokens, authorization=new.bearer()) == Principal("shop")
