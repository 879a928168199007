"""The vectors of docs/token-vectors.json: made from fixed inputs, and computed again."""

import hashlib

from token_v1 import (
    MAC_BYTES,
    NO_RECIPIENT,
    PAYLOAD_BYTES,
    Refused,
    act_tag,
    base64url,
    check_act,
    hmac_sha256,
    mac,
    message,
    payload,
    read_token,
    read_verp,
    recipient_key,
    recipient_root,
    tenant_key,
    tenant_recipient_secret,
    token,
    unbase64url,
    verp,
)

FORMAT = "cupel-token-vectors-v1"
U32_MAX = 2**32 - 1

RING = [
    {"id": 0, "state": "revoked", "key_hex": hashlib.sha256(b"vector ring key 0").hexdigest()},
    {"id": 1, "state": "aged", "key_hex": bytes(range(32)).hex()},
    {"id": 2, "state": "signing", "key_hex": bytes(range(32, 64)).hex()},
    {"id": 255, "state": "verifying", "key_hex": "ff" * 32},
]
RECIPIENT_SECRET_HEX = bytes(range(64, 96)).hex()
TENANTS = [1, 2, U32_MAX]
ACTS = [0, 1, 3, U32_MAX]
NOW = 1_795_284_000

# name, tenant, key id, campaign, minted_at, number, recipient
TOKENS = [
    ("worked example", 1, 2, 7, NOW, 1, "anna@example.org"),
    ("same recipient, other campaign", 1, 2, 8, NOW, 1, "anna@example.org"),
    ("same recipient, other tenant", 2, 2, 7, NOW, 1, "anna@example.org"),
    ("next number", 1, 2, 7, NOW, 2, "anna@example.org"),
    ("aged key", 1, 1, 7, NOW, 1, "anna@example.org"),
    ("revoked key, id 0", 1, 0, 7, NOW, 1, "anna@example.org"),
    ("verifying key, id 255", 1, 255, 7, NOW, 1, "anna@example.org"),
    ("no recipient", 1, 2, 7, NOW, 3, None),
    ("lowest numbers", 1, 2, 1, 0, 0, "1"),
    ("highest numbers", U32_MAX, 255, U32_MAX, U32_MAX, U32_MAX, "4294967295"),
    ("upper case is another recipient", 1, 2, 7, NOW, 4, "Anna@Example.ORG"),
    ("spaces around are kept", 1, 2, 7, NOW, 5, " anna@example.org "),
    ("one space", 1, 2, 7, NOW, 6, " "),
    ("line ends are bytes like others", 1, 2, 7, NOW, 7, "a\r\nb"),
    ("a zero byte", 1, 2, 7, NOW, 8, "a\u0000b"),
    ("two-byte letters", 1, 2, 7, NOW, 9, "Jörg Müßig"),
    ("composed e acute", 1, 2, 7, NOW, 10, "\u00e9"),
    ("decomposed e acute is another", 1, 2, 7, NOW, 11, "e\u0301"),
    ("three- and four-byte letters", 1, 2, 7, NOW, 12, "नमस्ते 日本 🦊"),
    ("256 bytes", 1, 2, 7, NOW, 13, "x" * 256),
    ("256 bytes of two-byte letters", 1, 2, 7, NOW, 14, "ß" * 128),
    ("minted at 0", 2, 2, 4_000_000_000, 0, U32_MAX, None),
    ("minted at the end of u32", 2, 1, 65_536, U32_MAX, 65_536, "order-65536"),
]
BAD_RECIPIENTS = [
    ("empty", ""),
    ("257 bytes", "x" * 257),
    ("129 two-byte letters", "ß" * 129),
]


def keys_of(vectors, tenant):
    ring = vectors["ring"]
    return {key["id"]: tenant_key(bytes.fromhex(key["key_hex"]), tenant) for key in ring}


def tenant_vector(vectors, tenant):
    secret = bytes.fromhex(vectors["recipient_secret_hex"])
    return {
        "tenant": tenant,
        "tenant_keys": [
            {"key_id": key_id, "hex": key.hex()}
            for key_id, key in keys_of(vectors, tenant).items()
        ],
        "recipient_hex": tenant_recipient_secret(secret, tenant).hex(),
    }


def token_vector(vectors, name, tenant, key_id, campaign, minted_at, number, recipient):
    k_t = keys_of(vectors, tenant)[key_id]
    root, key = None, NO_RECIPIENT
    if recipient is not None:
        secret = bytes.fromhex(vectors["recipient_secret_hex"])
        root = recipient_root(tenant_recipient_secret(secret, tenant), recipient)
        key = recipient_key(root, campaign)
    data = payload(key_id, campaign, minted_at, number, key)
    return {
        "name": name,
        "tenant": tenant,
        "key_id": key_id,
        "campaign": campaign,
        "minted_at": minted_at,
        "number": number,
        "recipient": recipient,
        "r_hex": root and root.hex(),
        "recipient_key_hex": key.hex(),
        "payload_hex": data.hex(),
        "mac_hex": mac(k_t, data).hex(),
        "message": message(data),
        "token": token(k_t, data),
        "acts": {str(n): act_tag(k_t, data, n) for n in ACTS},
        "verp": verp(k_t, data),
    }


def refused_tokens(vectors, good):
    """(name, tenant, text) of texts that are no tokens, most made from a good one."""
    keys = keys_of(vectors, 1)
    text, raw = good["token"], unbase64url(good["token"])
    data = raw[:PAYLOAD_BYTES]

    def signed(change):
        return token(keys[2], change)

    def flipped(at, bit):
        return base64url(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :])

    yield "empty", 1, ""
    yield "one character short", 1, text[:-1]
    yield "one character more", 1, text + "A"
    yield "one byte less", 1, base64url(raw[:-1])
    yield "one byte more", 1, base64url(raw + b"\0")
    yield "padded", 1, text + "="
    yield "padded within 48 characters", 1, text[:-1] + "="
    yield "plus of the other alphabet", 1, text[:40] + "+" + text[41:]
    yield "slash of the other alphabet", 1, text[:40] + "/" + text[41:]
    yield "a dot", 1, text[:40] + "." + text[41:]
    yield "a space", 1, text[:40] + " " + text[41:]
    yield "a line end after it", 1, text + "\n"
    yield "a line end within 48 characters", 1, text[:-1] + "\n"
    yield "percent-encoded", 1, "%41" + text[1:]
    yield "48 letters, one not ASCII", 1, text[:40] + "é" + text[41:]
    yield "48 bytes, one letter not ASCII", 1, text[:40] + "é" + text[42:]
    yield "a digit of another script", 1, text[:40] + "٣" + text[41:]
    yield "an unfilled merge tag", 1, "{{cupel_token}}"
    yield "version 0", 1, signed(b"\0" + data[1:])
    yield "version 2", 1, signed(b"\2" + data[1:])
    yield "campaign 0", 1, signed(data[:2] + bytes(4) + data[6:])
    yield "all zero", 1, "A" * 48
    yield "unknown key id", 1, token(keys[2], data[:1] + b"\3" + data[2:])
    yield "another key's id", 1, token(keys[2], data[:1] + b"\1" + data[2:])
    yield "another tenant's key", 2, text
    yield "another tenant's key, the other way", 1, vectors["tokens"][2]["token"]
    yield "upper-cased", 1, text.upper()
    yield "lower-cased", 1, text.lower()
    yield "MAC all zero", 1, base64url(data + bytes(MAC_BYTES))
    yield "MAC of another message", 1, base64url(
        data + unbase64url(vectors["tokens"][3]["token"])[PAYLOAD_BYTES:])
    yield "MAC under another domain string", 1, base64url(
        data + unbase64url(good["acts"]["0"]))
    fields = [("version", 0), ("key id", 1), ("campaign", 5), ("minted_at", 6), ("number", 13),
              ("recipient key", 14), ("recipient key's end", 23), ("MAC", 24), ("MAC's end", 35)]
    for name, at in fields:
        for bit in (0, 7):
            yield f"bit {bit} flipped: {name}", 1, flipped(at, bit)


def refused_verps(vectors, good):
    text = good["verp"]
    with_k = next(each["verp"] for each in vectors["tokens"]
                  if each["tenant"] == 1 and "k" in each["verp"])
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    last = alphabet.index(text[-1])
    yield "empty", ""
    yield "no prefix", text[3:]
    yield "another prefix", "cc-" + text[3:]
    yield "prefix without its hyphen", "cb" + text[3:]
    yield "one character short", text[:-1]
    yield "one character more", text + "a"
    yield "padded", text + "======"
    yield "a digit that base32 has not", text[:30] + "1" + text[31:]
    yield "a Kelvin sign for a k", with_k.replace("k", "\u212a", 1)
    yield "a line end after it", text + "\n"
    yield "with a domain", text + "@bounce.example"
    for spare in (1, 2, 3):
        yield f"spare bits {spare:02b}", text[:-1] + alphabet[last | spare]
    yield "last character of the MAC changed", text[:-1] + alphabet[last ^ 4]
    yield "a character of the MAC changed", text[:-2] + alphabet[alphabet.index(text[-2]) ^ 1] + (
        text[-1])
    yield "version 0 by its first character", "cb-" + "aa" + text[5:]


def refused_acts(vectors, good):
    """(name, act number, text) of tags that do not authorise this act of `good`."""
    other = vectors["tokens"][3]
    tag = good["acts"]["3"]
    raw = unbase64url(tag)
    yield "empty", 3, ""
    yield "one character short", 3, tag[:-1]
    yield "one character more", 3, tag + "A"
    yield "padded", 3, tag + "="
    yield "plus of the other alphabet", 3, "+" + tag[1:]
    yield "slash of the other alphabet", 3, tag[:-1] + "/"
    yield "of another link", 3, good["acts"]["1"]
    yield "of the unsubscribe function", 3, good["acts"]["0"]
    yield "of a link, for the unsubscribe function", 0, tag
    yield "of another message", 3, other["acts"]["3"]
    yield "of the same payload under another key", 3, act_tag(
        keys_of(vectors, 1)[1], bytes.fromhex(good["payload_hex"]), 3)
    yield "the token's own MAC", 3, good["token"][-16:]
    yield "number as one byte", 3, base64url(
        hmac_sha256(keys_of(vectors, 1)[2], b"cupel-act-v1",
                    bytes.fromhex(good["payload_hex"]), b"\3")[:MAC_BYTES])
    yield "first bit flipped", 3, base64url(bytes([raw[0] ^ 128]) + raw[1:])
    yield "last bit flipped", 3, base64url(raw[:-1] + bytes([raw[-1] ^ 1]))


def reason_of(read, *arguments):
    try:
        read(*arguments)
    except Refused as refused:
        return refused.reason
    raise AssertionError(f"accepted: {arguments[0]!r}")


def generate():
    vectors = {
        "format": FORMAT,
        "ring": RING,
        "recipient_secret_hex": RECIPIENT_SECRET_HEX,
    }
    vectors["tenants"] = [tenant_vector(vectors, tenant) for tenant in TENANTS]
    vectors["tokens"] = [token_vector(vectors, *line) for line in TOKENS]
    good = vectors["tokens"][0]
    swapped = good["verp"].upper()
    vectors["verp_accepted"] = [
        {"name": "upper case", "tenant": 1, "text": swapped, "token": good["token"]},
        {"name": "prefix in upper case", "tenant": 1, "text": "CB-" + good["verp"][3:],
         "token": good["token"]},
        {"name": "mixed case", "tenant": 1, "token": good["token"],
         "text": "".join(pair[i % 2] for i, pair in enumerate(zip(good["verp"], swapped)))},
    ]
    data, keys = bytes.fromhex(good["payload_hex"]), keys_of(vectors, 1)
    vectors["refused"] = [
        {"form": "token", "name": name, "tenant": tenant, "text": text,
         "reason": reason_of(read_token, text, keys_of(vectors, tenant))}
        for name, tenant, text in refused_tokens(vectors, good)
    ] + [
        {"form": "verp", "name": name, "tenant": 1, "text": text,
         "reason": reason_of(read_verp, text, keys)}
        for name, text in refused_verps(vectors, good)
    ] + [
        {"form": "act", "name": name, "tenant": 1, "token": good["token"], "act": number,
         "text": text, "reason": reason_of(check_act, text, data, number, keys)}
        for name, number, text in refused_acts(vectors, good)
    ]
    vectors["refused_recipients"] = [
        {"name": name, "recipient": recipient} for name, recipient in BAD_RECIPIENTS
    ]
    return vectors


def differences(vectors):
    """Every place where the file and this implementation disagree, in the file's order."""

    def compare(where, expected, found):
        for field, value in found.items():
            if field not in expected:
                yield f"{where}: {field} is missing"
            elif expected[field] != value:
                yield f"{where}: {field} is {expected[field]!r}, computed {value!r}"

    if vectors.get("format") != FORMAT:
        yield f"format is {vectors.get('format')!r}, not {FORMAT!r}"
        return
    for given in vectors["tenants"]:
        found = tenant_vector(vectors, given["tenant"])
        yield from compare(f"tenant {given['tenant']}", given, found)
    names = ("name", "tenant", "key_id", "campaign", "minted_at", "number", "recipient")
    for given in vectors["tokens"]:
        where = f"token {given['name']!r}"
        found = token_vector(vectors, *(given[name] for name in names))
        yield from compare(where, given, found)
        keys = keys_of(vectors, given["tenant"])
        for read, text in ((read_token, given["token"]), (read_verp, given["verp"])):
            try:
                data = read(text, keys)
            except Refused as refused:
                yield f"{where}: {read.__name__} refuses {text!r}: {refused.reason}"
                continue
            yield from compare(where, given, {"payload_hex": data.hex()})
    for given in vectors["verp_accepted"]:
        keys = keys_of(vectors, given["tenant"])
        try:
            same = read_verp(given["text"], keys) == read_token(given["token"], keys)
        except Refused:
            same = False
        if not same:
            yield f"verp {given['name']!r}: not read as its token"
    for given in vectors["refused"]:
        where = f"refused {given['form']} {given['name']!r}"
        keys = keys_of(vectors, given["tenant"])
        try:
            if given["form"] == "token":
                read_token(given["text"], keys)
            elif given["form"] == "verp":
                read_verp(given["text"], keys)
            else:
                data = read_token(given["token"], keys)
                check_act(given["text"], data, given["act"], keys)
        except Refused as refused:
            yield from compare(where, given, {"reason": refused.reason})
        else:
            yield f"{where}: accepted"
    for given in vectors["refused_recipients"]:
        try:
            recipient_root(bytes(32), given["recipient"])
        except ValueError:
            continue
        yield f"refused recipient {given['name']!r}: accepted"
