import pytest

from components.foundation.errors import InputError
from serving.gateway.request_ids import KEY_FILE, open_request_ids


def test_an_id_is_its_gateways_own_and_its_users(tmp_path):
    ids, again = open_request_ids(tmp_path), open_request_ids(tmp_path)
    given = ids.new("u-1")
    assert len(given) == 56 and given != ids.new("u-1")
    assert again.is_own(given, None) and again.is_own(given, "u-1") and not again.is_own(given, "u-2")
    assert not open_request_ids(tmp_path / "other").is_own(given, None)


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + "0", lambda text: "é" + text[1:]])
def test_an_invented_id_is_none(tmp_path, change):
    ids = open_request_ids(tmp_path)
    given = ids.new("u-1")
    other = "0" if given[35] != "0" else "1"
    assert not ids.is_own(change(given), None)
    assert not ids.is_own(given[:35] + other + given[36:], None)
    assert not ids.is_own("", None) and not ids.is_own("r", None)


def test_the_key_is_for_this_account_alone_and_a_damaged_one_is_named(tmp_path):
    open_request_ids(tmp_path)
    path = tmp_path / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600 and [path] == list(tmp_path.iterdir())
    path.write_bytes(b"short")
    with pytest.raises(InputError, match=rf"{KEY_FILE}: 5 bytes, expected the 32 of a key"):
        open_request_ids(tmp_path)
