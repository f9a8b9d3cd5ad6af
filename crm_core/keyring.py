"""Encryption of the most sensitive fields: keys that can be rotated, blind indexes, masks."""

import base64
import hashlib
import hmac
import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = "v1"
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_KEY_BYTES = 32
_NONCE_BYTES = 12
_BLIND_CHARACTERS = 32
_IDENTITY_DIGITS = 15  # identity numbers have 18 digits, those issued before 1999 have 15
_MOBILE_DIGITS = 11
_TAIL = 4


class KeyringError(Exception):
    """A key is missing or malformed, or a sealed value is not what was sealed. The message holds no secret."""


@dataclass(frozen=True, eq=False)
class Keyring:
    """The keys that seal the most sensitive fields and the one that indexes them.

    To rotate, put a new key first in the settings and leave the old ones behind it: new values are sealed with the
    first key, old ones stay readable, `is_current` finds those to seal again. A key may be taken away when no value
    names it any more. The index key is a setting of its own and outlives rotation, because another one would make
    every blind index of the database useless.

    The keys given here never encrypt anything themselves: one sub-key per use is derived from each (HKDF-SHA256).

    Attributes:
        keys: 32 random bytes by key id; an id is 1 to 32 letters, digits, `_` or `-`.
        current: id of the key that seals.
        index_key: 32 random bytes for the blind indexes.
        random: gives that many random bytes, for nonces.

    Raises:
        KeyringError: a key has another length, an id another form, or `current` is not among the keys.
    """

    keys: Mapping[str, bytes] = field(repr=False)
    current: str
    index_key: bytes = field(repr=False)
    random: Callable[[int], bytes] = field(default=os.urandom, repr=False)
    _ciphers: Mapping[str, AESGCM] = field(init=False, repr=False)
    _index: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the keys, then derive the sub-keys once."""
        for key_id, key in self.keys.items():
            _require_key(key_id, key)
        if self.current not in self.keys:
            raise KeyringError("the current key is not in the keyring")
        if len(self.index_key) != _KEY_BYTES:
            raise KeyringError("the index key is not 32 bytes long")
        ciphers = {key_id: AESGCM(_derived(key, f"field:{key_id}")) for key_id, key in self.keys.items()}
        object.__setattr__(self, "_ciphers", ciphers)
        object.__setattr__(self, "_index", _derived(self.index_key, "blind index"))

    @classmethod
    def parse(cls, keys: str, index_key: str, random: Callable[[int], bytes] = os.urandom) -> Self:
        """The keyring of two settings.

        Args:
            keys: `id:base64,id2:base64`; the first seals, all open.
            index_key: base64 of the index key.
            random: gives that many random bytes, for nonces.

        Raises:
            KeyringError: a setting has another form, or an id stands twice.
        """
        pairs = [_key_pair(entry) for entry in keys.split(",")]
        by_id = dict(pairs)
        if len(by_id) != len(pairs):
            raise KeyringError("a key id stands twice in the keyring")
        return cls(by_id, pairs[0][0], _decoded(index_key.strip(), "the index key"), random)

    @staticmethod
    def generate_text(random: Callable[[int], bytes] = os.urandom) -> str:
        """A new key under a new id, `k1f0c2a9b:base64`, ready to be put first in the setting of the keys."""
        return f"k{random(4).hex()}:{base64.b64encode(random(_KEY_BYTES)).decode()}"

    @staticmethod
    def generate_index_text(random: Callable[[int], bytes] = os.urandom) -> str:
        """A new index key as base64, for the setting of the index key. To be made once in the life of a database."""
        return base64.b64encode(random(_KEY_BYTES)).decode()

    def seal(self, plain: str, context: str) -> str:
        """The value encrypted: `v1.<key id>.<base64 of nonce and ciphertext>`.

        Args:
            plain: the value.
            context: where it belongs, such as `contacts.identity_number:<id>`; only the same context opens it, so a
                sealed value cannot be moved to another row or column.
        """
        nonce = self.random(_NONCE_BYTES)
        bound = _bound_to(self.current, context)
        sealed = nonce + self._ciphers[self.current].encrypt(nonce, plain.encode(), bound)
        return f"{_VERSION}.{self.current}.{_encoded(sealed)}"

    def open(self, sealed: str, context: str) -> str:
        """The value that was sealed in this context.

        Raises:
            KeyringError: unknown version or key, another context, or the text was changed.
        """
        key_id, body = _parts(sealed)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyringError(f"the keyring has no key '{key_id}'")
        try:
            return cipher.decrypt(
                body[:_NONCE_BYTES], body[_NONCE_BYTES:], _bound_to(key_id, context)
            ).decode()
        except InvalidTag:
            raise KeyringError("the sealed value was changed or belongs elsewhere") from None

    def is_current(self, sealed: str) -> bool:
        """Whether the value is sealed with the current key; if not, it waits to be opened and sealed again.

        Raises:
            KeyringError: the text is not a sealed value.
        """
        return _parts(sealed)[0] == self.current

    def blind(self, plain: str, context: str) -> str:
        """The blind index of a value: 32 hexadecimal digits, equal for equal values of one context.

        Values are compared without spaces, dashes, case and character width: `320 5…x` and `3205…X` are one. It
        stays the same when keys are rotated and tells nothing without the index key.

        Args:
            plain: the value.
            context: the column, such as `contacts.identity_number`; without the row, or nothing would ever be equal.
        """
        name = context.encode()
        message = len(name).to_bytes(4, "big") + name + _normalised(plain).encode()
        return hmac.new(self._index, message, hashlib.sha256).hexdigest()[:_BLIND_CHARACTERS]


def mask_identity(number: str) -> str:
    """An identity number (身份证号) with its first three and last four characters: `510***********9987`.

    A number shorter than 15 characters, such as a passport's, shows its last four at most.
    """
    number = number.strip()
    if len(number) < _IDENTITY_DIGITS:
        return mask_tail(number, _TAIL)
    return number[:3] + "*" * (len(number) - 3 - _TAIL) + number[-_TAIL:]


def mask_phone(phone: str) -> str:
    """A phone number with its first three and last four digits: `138****1234`.

    Separators and the country code 86 are dropped; a number shorter than 11 digits shows its last four at most.
    """
    digits = "".join(character for character in unicodedata.normalize("NFKC", phone) if character.isdecimal())
    national = re.sub(r"^(?:00)?86(?=1\d{10}$)", "", digits)
    if len(national) < _MOBILE_DIGITS:
        return mask_tail(national, _TAIL)
    return national[:3] + "*" * (len(national) - 3 - _TAIL) + national[-_TAIL:]


def mask_tail(value: str, keep: int) -> str:
    """A value with its last characters only, each other one a `*`; never more than half of it is shown.

    Raises:
        ValueError: `keep` is negative.
    """
    if keep < 0:
        raise ValueError("the number of characters to keep cannot be negative")
    shown = min(keep, len(value) // 2)
    return "*" * (len(value) - shown) + value[len(value) - shown :]


def _require_key(key_id: str, key: bytes) -> None:
    if _KEY_ID.fullmatch(key_id) is None:
        raise KeyringError("a key id is not 1 to 32 letters, digits, '_' or '-'")
    if len(key) != _KEY_BYTES:
        raise KeyringError(f"key '{key_id}' is not 32 bytes long")


def _key_pair(entry: str) -> tuple[str, bytes]:
    key_id, colon, encoded = entry.strip().partition(":")
    if not colon:
        raise KeyringError("an entry of the keyring is not of the form id:base64")
    if _KEY_ID.fullmatch(key_id) is None:  # first: an entry the wrong way round must not reach a message
        raise KeyringError("a key id is not 1 to 32 letters, digits, '_' or '-'")
    return key_id, _decoded(encoded, f"key '{key_id}'")


def _decoded(encoded: str, what: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise KeyringError(f"{what} is not base64") from None


def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"crm-core {purpose}".encode()).derive(key)


def _bound_to(key_id: str, context: str) -> bytes:
    """What the ciphertext is bound to; a key id holds no dot, so no two contexts give the same."""
    return f"{_VERSION}.{key_id}.{context}".encode()


def _encoded(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _parts(sealed: str) -> tuple[str, bytes]:
    """The key id and the bytes of a sealed value."""
    version, _, rest = sealed.partition(".")
    key_id, _, body = rest.partition(".")
    if version != _VERSION or _KEY_ID.fullmatch(key_id) is None:
        raise KeyringError("the text is not a sealed value")
    try:
        decoded = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise KeyringError("the text is not a sealed value") from None
    if (
        len(decoded) <= _NONCE_BYTES or _encoded(decoded) != body
    ):  # base64 has several texts for the same bytes
        raise KeyringError("the text is not a sealed value")
    return key_id, decoded


def _normalised(value: str) -> str:
    folded = unicodedata.normalize("NFKC", value).casefold()
    return "".join(c for c in folded if not c.isspace() and unicodedata.category(c) not in {"Pd", "Cf"})
