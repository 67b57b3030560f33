"""What an upgrade presents, from docs/protocol.md alone: tokens, checked against PyJWT both ways, and signatures.

tests/golden/upgrade.json is made here and read by tests/wire/upgrade.rs: that one makes the same token, and takes those
that PyJWT makes, but for the ones that have to be refused.
"""

import base64
import hashlib
import hmac
import json

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FILE = "upgrade.json"
HUB_KEY = bytes(range(0xE0, 0x100))
HUB_ID = bytes(range(0x10, 0x20))
AGENT_ID = bytes(range(0x20, 0x30))
IDENTITY_SEED = bytes(range(0xA0, 0xC0))
NONCE = bytes(range(0x50, 0x60))
# Whole seconds.
NOW_MS = 1_800_000_000_000
TTL_S = 900
URL = "https://hub.example/outpost"


def derive(key, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=b"", info=info).derive(key)


SIGNING_KEY = derive(HUB_KEY, b"outpost/v1 jwt" + HUB_ID)
KID = derive(SIGNING_KEY, b"outpost/v1 jwt kid")[:8].hex()
CLAIMS = {
    "aud": HUB_ID.hex(), "sub": AGENT_ID.hex(), "key_id": "k1",
    "iat": NOW_MS // 1000, "exp": NOW_MS // 1000 + TTL_S,
}


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header, claims):
    """A token as the page draws it, without any library for tokens."""
    compact = lambda value: base64url(json.dumps(value, separators=(",", ":")).encode())
    signed = f"{compact(header)}.{compact(claims)}"
    return f"{signed}.{base64url(hmac.new(SIGNING_KEY, signed.encode(), hashlib.sha256).digest())}"


def by_pyjwt(key=SIGNING_KEY, algorithm="HS256", kid=KID, **claims):
    return jwt.encode({**CLAIMS, **claims}, key, algorithm=algorithm, headers={"kid": kid})


TOKEN = by_hand({"alg": "HS256", "kid": KID, "typ": "JWT"}, CLAIMS)


def field(raw):
    return len(raw).to_bytes(4, "big") + raw


def upgrade_digest():
    fields = [b"GET", URL.encode(), AGENT_ID, NOW_MS.to_bytes(8, "big"), NONCE]
    return hashlib.sha512(b"outpost/v1 upgrade\0" + b"".join(map(field, fields))).digest()


def vectors():
    refused = {
        "without an algorithm": by_pyjwt(key=None, algorithm="none"),
        "another algorithm": by_pyjwt(key=SIGNING_KEY * 2, algorithm="HS512"),
        "another hub's key": by_pyjwt(key=derive(bytes(32), b"outpost/v1 jwt" + HUB_ID)),
        "another key's name": by_pyjwt(kid="00" * 8),
        "for another hub": by_pyjwt(aud=AGENT_ID.hex()),
        "its time is over": by_pyjwt(exp=NOW_MS // 1000),
        "begins later": by_pyjwt(iat=NOW_MS // 1000 + 301, exp=NOW_MS // 1000 + 1000),
        "more than is known": by_pyjwt(scope="admin"),
        "no agent": by_pyjwt(sub="edge-1"),
    }
    identity = Ed25519PrivateKey.from_private_bytes(IDENTITY_SEED)
    headers = {
        "X-Agent-ID": AGENT_ID.hex(), "X-Timestamp": str(NOW_MS), "X-Nonce": base64url(NONCE), "X-Outpost-URL": URL,
        "X-Signature": base64url(identity.sign(upgrade_digest())),
    }
    content = {
        "now_ms": NOW_MS, "hub_key": HUB_KEY.hex(), "hub_id": HUB_ID.hex(), "agent_id": AGENT_ID.hex(), "key_id": "k1",
        "ttl_s": TTL_S, "token": TOKEN, "pyjwt": by_pyjwt(), "refused": refused,
        "identity_seed": IDENTITY_SEED.hex(), "digest": upgrade_digest().hex(), "headers": headers,
    }
    return json.dumps(content, indent=2) + "\n"


def check(committed, expect):
    """`expect(condition, what)` counts."""
    expect(committed == vectors(), f"{FILE} differs from what Python makes")
    token = json.loads(committed)["token"]
    # The moment is a fixed one.
    timeless = {"verify_exp": False, "verify_iat": False}
    decode = lambda text, key=SIGNING_KEY, aud=HUB_ID.hex(), options=timeless: jwt.decode(
        text, key, algorithms=["HS256"], audience=aud, options=options)
    expect(decode(token) == CLAIMS, "PyJWT reads something else in the token")
    expect(jwt.get_unverified_header(token) == {"alg": "HS256", "kid": KID, "typ": "JWT"}, "PyJWT reads another header")

    def refused(why, *arguments, **more):
        try:
            decode(*arguments, **more)
        except why:
            return True
        return False

    expect(refused(jwt.InvalidSignatureError, token, key=bytes(32)), "PyJWT takes the token under another key")
    expect(refused(jwt.InvalidAudienceError, token, aud=AGENT_ID.hex()), "PyJWT takes the token for another hub")
    long_ago = by_hand({"alg": "HS256", "kid": KID, "typ": "JWT"}, {**CLAIMS, "iat": 1, "exp": 2})
    expect(refused(jwt.ExpiredSignatureError, long_ago, options={}), "PyJWT takes a token whose time is over")
    for at in range(len(token)):
        flipped = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        expect(refused(jwt.InvalidTokenError, flipped), f"PyJWT takes the token with character {at} changed")
