"""Message token, version 1: a second implementation, written from docs/token.md.

Standard library only, and no line shared with the server: where both agree with the vector
file, they agree with each other.
"""

import base64
import hashlib
import hmac
import re
import struct

VERSION = 1
PAYLOAD_BYTES = 24
MAC_BYTES = 12
TOKEN_BYTES = PAYLOAD_BYTES + MAC_BYTES
RECIPIENT_ID_BYTES_MAX = 256
NO_RECIPIENT = bytes(10)

TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]{48}", re.ASCII)
ACT_FORM = re.compile(r"[A-Za-z0-9_-]{16}", re.ASCII)
VERP_FORM = re.compile(r"cb-([a-z2-7]{58})", re.ASCII)


class Refused(Exception):
    """A text that is no valid token or act tag; `reason` is "malformed" or "mac"."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


def hmac_sha256(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def u32(number):
    return struct.pack(">I", number)


# Keys


def tenant_key(ring_key, tenant):
    """K_t: signs the tokens of one tenant under one ring key."""
    return hmac_sha256(ring_key, b"cupel-tenant-v1", u32(tenant))


def tenant_recipient_secret(recipient_secret, tenant):
    """S_t: turns one tenant's recipient ids into R."""
    return hmac_sha256(recipient_secret, b"cupel-recipient-v1", u32(tenant))


def recipient_root(s_t, recipient):
    """R: the 16 bytes by which a recipient is known at rest."""
    identity = recipient.encode("utf-8")
    if not 1 <= len(identity) <= RECIPIENT_ID_BYTES_MAX:
        raise ValueError("a recipient id has 1 to 256 bytes")
    return hmac_sha256(s_t, identity)[:16]


def recipient_key(root, campaign):
    """The ten bytes that stand for the recipient inside one campaign."""
    return hmac_sha256(root, u32(campaign))[:10]


# Token, act tag, VERP


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def payload(key_id, campaign, minted_at, number, key_of_recipient):
    fields = struct.pack(">BBIII", VERSION, key_id, campaign, minted_at, number)
    return fields + key_of_recipient


def mac(k_t, data):
    return hmac_sha256(k_t, b"cupel-token-v1", data)[:MAC_BYTES]


def token(k_t, data):
    return base64url(data + mac(k_t, data))


def act_tag(k_t, data, number):
    return base64url(hmac_sha256(k_t, b"cupel-act-v1", data, u32(number))[:MAC_BYTES])


def verp(k_t, data):
    text = base64.b32encode(data + mac(k_t, data)).decode("ascii")
    return "cb-" + text.rstrip("=").lower()


def message(data):
    _, _, campaign, minted_at, number = struct.unpack(">BBIII", data[:14])
    return f"{campaign}-{minted_at}-{number}"


def checked(raw, keys):
    """The payload of 36 bytes, once version, campaign and MAC are right."""
    data = raw[:PAYLOAD_BYTES]
    version, key_id, campaign = struct.unpack(">BBI", data[:6])
    if version != VERSION or campaign == 0:
        raise Refused("malformed")
    k_t = keys.get(key_id)
    if k_t is None or not hmac.compare_digest(raw[PAYLOAD_BYTES:], mac(k_t, data)):
        raise Refused("mac")
    return data


def read_token(text, keys):
    """The payload of a token as it stands in a URL; `keys` maps key ids to K_t."""
    if not TOKEN_FORM.fullmatch(text):
        raise Refused("malformed")
    return checked(unbase64url(text), keys)


def read_verp(text, keys):
    """The payload of a VERP local part, in any mixture of cases."""
    # ASCII only: str.lower() would turn the Kelvin sign into a k.
    form = VERP_FORM.fullmatch(text.lower()) if text.isascii() else None
    if not form:
        raise Refused("malformed")
    raw = base64.b32decode(form[1].upper() + "======")
    # 58 characters hold 290 bits, a token has 288: the two to spare must be zero.
    if base64.b32encode(raw).decode("ascii").rstrip("=").lower() != form[1]:
        raise Refused("malformed")
    return checked(raw, keys)


def check_act(text, data, number, keys):
    """Refuses any text but the act tag of link `number` for the payload `data`."""
    if not ACT_FORM.fullmatch(text):
        raise Refused("malformed")
    if not hmac.compare_digest(text, act_tag(keys[data[1]], data, number)):
        raise Refused("mac")
