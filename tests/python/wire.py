"""The wire in Python, from proto/ and docs/protocol.md alone: no line of this knows the Rust code.

`check` builds every golden frame and key vector and compares it with tests/golden/ byte for byte, opens the committed
frames, and shows that damaged ones are refused. `write` rewrites tests/golden/. tests/wire_golden.rs does the same
from the other side, so either end reads what the other one makes.
"""

import base64
import hashlib
import hmac
import importlib
import json
import pathlib
import sys
import tempfile

import grpc_tools
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.descriptor import FieldDescriptor
from grpc_tools import protoc

import upgrade

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
TRAILER = bytes([0x7A, 0x20])
CONTROL, EVENTS, LOGS = 1, 2, 3


def compile_protos():
    """Compiles proto/ into a temporary folder and imports it: the module of each file, by its name."""
    folder = tempfile.mkdtemp(prefix="outpost-proto-")
    names = ["record", "control", "handshake", "job", "rotation", "relay", "envelope"]
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={folder}"]
    arguments.append(f"-I{pathlib.Path(grpc_tools.__file__).parent / '_proto'}")
    if protoc.main(arguments + [f"outpost/v1/{name}.proto" for name in names]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, folder)
    return {name: importlib.import_module(f"outpost.v1.{name}_pb2") for name in names}


PROTO = compile_protos()
record_pb, control, handshake = PROTO["record"], PROTO["control"], PROTO["handshake"]
job, rotation, relay = PROTO["job"], PROTO["rotation"], PROTO["relay"]
Envelope = PROTO["envelope"].Envelope

# --- keys ---------------------------------------------------------------------------------------------------------


def counting(first, length):
    return bytes((first + index) % 256 for index in range(length))


AGENT_KEY = counting(0x00, 32)
HUB_ID = counting(0x10, 16)
AGENT_ID = counting(0x20, 16)
SESSION_ID = counting(0x30, 16)
JOB_ID = counting(0xA0, 16)
AGENT_NONCE = counting(0x40, 32)
HUB_NONCE = counting(0x60, 32)
TLS_BINDING = counting(0x80, 32)
NO_BINDING = bytes(32)
IDENTITY_SEED = counting(0xA0, 32)
INSTANCE = counting(0xC0, 16)
HUB_TIME = 1_800_000_000_000


def derive(key, salt, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(key)


BEARER_SECRET = derive(AGENT_KEY, b"", b"outpost/v1 bearer")
MAC_ROOT = derive(AGENT_KEY, b"", b"outpost/v1 mac")
CHALLENGE_KEY = derive(MAC_ROOT, AGENT_NONCE, b"outpost/v1 challenge" + HUB_ID + AGENT_ID)


def session_key(direction, binding):
    info = b"outpost/v1 " + direction + HUB_ID + AGENT_ID + SESSION_ID + binding
    return derive(MAC_ROOT, AGENT_NONCE + HUB_NONCE, info)


A2H = session_key(b"a2h", NO_BINDING)
H2A = session_key(b"h2a", NO_BINDING)


def challenge_digest(binding):
    return hashlib.sha512(
        b"outpost/v1 challenge\0" + (1).to_bytes(4, "big") + HUB_ID + AGENT_ID + SESSION_ID
        + HUB_NONCE + AGENT_NONCE + HUB_TIME.to_bytes(8, "big") + binding
    ).digest()


IDENTITY = Ed25519PrivateKey.from_private_bytes(IDENTITY_SEED)
SIGNATURE = IDENTITY.sign(challenge_digest(NO_BINDING))
SPEC = b'{"kind": "exec"}'
DOCUMENT = b"{}"
# The identity's key signs as an operator's does.
JOB_SIGNATURE = IDENTITY.sign(b"outpost/v1 job\0" + SPEC)
CONFIG_SIGNATURE = IDENTITY.sign(b"outpost/v1 config\0" + DOCUMENT)

HUB_HALF = X25519PrivateKey.from_private_bytes(counting(0xD0, 32))
AGENT_HALF = X25519PrivateKey.from_private_bytes(counting(0x50, 32))
HUB_PUBLIC = HUB_HALF.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
AGENT_PUBLIC = AGENT_HALF.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
NEXT_KEY_ID = "k2"
ROTATED_KEY = derive(
    AGENT_HALF.exchange(HUB_HALF.public_key()), MAC_ROOT,
    b"outpost/v1 rotate" + HUB_ID + AGENT_ID + bytes([len(NEXT_KEY_ID)]) + NEXT_KEY_ID.encode()
    + HUB_PUBLIC + AGENT_PUBLIC)


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def key_vectors():
    inputs = {
        "agent_key": AGENT_KEY, "hub_id": HUB_ID, "agent_id": AGENT_ID, "session_id": SESSION_ID,
        "agent_nonce": AGENT_NONCE, "hub_nonce": HUB_NONCE, "tls_binding": TLS_BINDING,
        "identity_seed": IDENTITY_SEED, "hub_half": counting(0xD0, 32), "agent_half": counting(0x50, 32),
    }
    sample = b"outpost"
    tag = lambda key: hmac.new(key, sample, hashlib.sha256).digest()
    outputs = {
        "bearer_secret": BEARER_SECRET,
        "bearer_digest": hashlib.sha256(BEARER_SECRET).digest(),
        "mac_root": MAC_ROOT,
        "challenge_key": CHALLENGE_KEY,
        "a2h": A2H,
        "h2a": H2A,
        "a2h_tls": session_key(b"a2h", TLS_BINDING),
        "h2a_tls": session_key(b"h2a", TLS_BINDING),
        "challenge_digest": challenge_digest(NO_BINDING),
        "challenge_digest_tls": challenge_digest(TLS_BINDING),
        "identity_public": IDENTITY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        "challenge_signature": SIGNATURE,
        "hub_public": HUB_PUBLIC,
        "agent_public": AGENT_PUBLIC,
        "rotated_key": ROTATED_KEY,
    }
    # The Rust side never shows a MAC key, so each key is also given as its MAC over the ASCII text `outpost`.
    macs = {name: tag(outputs[name]) for name in ["challenge_key", "a2h", "h2a", "a2h_tls", "h2a_tls"]}
    texts = {
        "key_file": f"opk1.{HUB_ID.hex()}.{AGENT_ID.hex()}.k1.{base64url(AGENT_KEY)}",
        "bearer": f"opa1.{AGENT_ID.hex()}.k1.{base64url(BEARER_SECRET)}",
        "operator_job": f"ops1.{base64url(JOB_SIGNATURE)}",
        "operator_config": f"ops1.{base64url(CONFIG_SIGNATURE)}",
    }
    hexed = lambda table: {name: raw.hex() for name, raw in table.items()}
    vectors = {
        "hub_time_ms": HUB_TIME, "inputs": hexed(inputs), "outputs": hexed(outputs),
        "macs_of_outpost": hexed(macs), "texts": texts,
    }
    return json.dumps(vectors, indent=2) + "\n"


# --- frames -------------------------------------------------------------------------------------------------------


def batch():
    whole = record_pb.Record(recorded_at_ms=5_000, source="cron", payload=b"started")
    part = record_pb.Record(recorded_at_ms=5_001, source="cron", payload=b"\x00\xff", part=1, parts=2)
    return record_pb.RecordBatch(records=[whole, part]).SerializeToString()


def batch_of_apps():
    """The log line of an app, the first part of one that is longer, and a record that is nobody's line."""
    line = record_pb.Record(recorded_at_ms=5_003, source="nginx", payload=b"GET / 200", app="web")
    part = record_pb.Record(recorded_at_ms=5_004, source="nginx", payload=b"POST", part=1, parts=2, app="front-2")
    other = record_pb.Record(recorded_at_ms=5_005, source="cron", payload=b"done")
    return record_pb.RecordBatch(records=[line, part, other]).SerializeToString()


ZSTD_MAGIC = bytes.fromhex("28b52ffd")


def repetitive_batch():
    """A record that is mostly one byte, and the same as a zstd frame made by hand (RFC 8878): a single segment with its
    size in two bytes, a raw block, and a block of one byte that is repeated."""
    text = b"x" * 300
    raw = record_pb.RecordBatch(records=[
        record_pb.Record(recorded_at_ms=5_002, source="cron", payload=text)]).SerializeToString()
    head = raw[:-len(text)]
    block = lambda kind, size, last: (last | kind << 1 | size << 3).to_bytes(3, "little")
    frame = (ZSTD_MAGIC + bytes([1 << 6 | 1 << 5]) + (len(raw) - 256).to_bytes(2, "little")
             + block(0, len(head), 0) + head + block(1, len(text), 1) + b"x")
    return raw, frame


def bodies():
    """Name, key, number in its direction, body. The order is that of a session."""
    epoch = 0x00000001_DEADBEEF
    raw = batch()
    long, compressed = repetitive_batch()
    lines = batch_of_apps()
    state = lambda lane, first, following: handshake.StreamState(
        lane=lane, epoch=epoch, first_unacked=first, next=following)
    mark = lambda lane, acked, crc: handshake.StreamMark(lane=lane, epoch=epoch, acked=acked, acked_crc=crc)
    return [
        ("challenge", CHALLENGE_KEY, 1, dict(challenge=handshake.Challenge(
            hub_id=HUB_ID, hub_nonce=HUB_NONCE, session_id=SESSION_ID, hub_time_ms=HUB_TIME,
            signature=handshake.SIGNATURE_MODE_REQUIRED, binding=handshake.CHANNEL_BINDING_NONE))),
        ("challenge_reply", A2H, 1, dict(challenge_reply=handshake.ChallengeReply(signature=SIGNATURE))),
        ("register", A2H, 2, dict(register=handshake.Register(
            instance=INSTANCE, agent_version="0.1.0", hostname="edge-1", os="linux", arch="x86_64",
            runtimes={"python": "3.11.7", "bash": "5.2"}, capabilities=["exec"], last_known_config_version=3,
            streams=[state(CONTROL, 1, 1), state(EVENTS, 7, 300)], more=True, wall_time_ms=5_000))),
        ("register_more", A2H, 3, dict(register_more=handshake.RegisterMore(streams=[state(LOGS, 1, 66)]))),
        ("register_ack", H2A, 2, dict(register_ack=handshake.RegisterAck(
            hub_time_ms=HUB_TIME + 12, heartbeat_interval_s=30,
            limits=handshake.Limits(message_bytes=2097152, window_bytes=1048576, control_window_bytes=65536,
                                    record_bytes=1048576, ping_interval_s=30, idle_s=90, zstd=False),
            streams=[mark(CONTROL, 0, 0), mark(EVENTS, 6, 0x1234ABCD)], more=True,
            config=handshake.ConfigSnapshot(version=4, document=DOCUMENT, signature=CONFIG_SIGNATURE),
            retry=handshake.RetryHints(min_ms=250, max_ms=30000)))),
        ("register_ack_more", H2A, 3, dict(
            register_ack_more=handshake.RegisterAckMore(streams=[mark(LOGS, 0, 0)]))),
        ("records", A2H, 4, dict(records=record_pb.Records(
            lane=EVENTS, epoch=epoch, first=7, count=2, raw_len=len(raw), batch=raw,
            clock_offset_ms=-HUB_TIME))),
        ("gap", A2H, 5, dict(gap=record_pb.Gap(**{
            "lane": LOGS, "epoch": epoch, "from": 1, "to": 40, "reason": record_pb.GAP_REASON_HUB_LOST,
            "records": 40, "bytes": 20480}))),
        ("heartbeat", A2H, 6, dict(heartbeat=control.Heartbeat(
            depth=[control.LaneDepth(lane=CONTROL), control.LaneDepth(lane=EVENTS, records=293, bytes=150016),
                   control.LaneDepth(lane=LOGS, records=25, bytes=12800)],
            agent_version="0.1.0", config_version=4,
            config_refused=control.ConfigRefusal(version=5, reason="it is not signed")))),
        ("ack", H2A, 4, dict(ack=control.Ack(lane=EVENTS, epoch=epoch, acked=8, acked_crc=0xCAFEF00D))),
        ("ping", H2A, 5, dict(ping=control.Ping())),
        ("pong", A2H, 7, dict(pong=control.Pong())),
        ("error", H2A, 6, dict(error=control.Error(code=10, text="records begin at 12, expected 9",
                                                   retry_after_ms=1500))),
        ("go_away", H2A, 7, dict(go_away=control.GoAway(retry_after_ms=4000, reason="restart"))),
        ("job_offer", H2A, 8, dict(job_offer=job.JobOffer(
            job_id=JOB_ID, created_at_ms=HUB_TIME, spec=SPEC, signature=JOB_SIGNATURE))),
        ("job_ack", A2H, 9, dict(job_ack=job.JobAck(
            job_id=JOB_ID, refusal=job.JOB_REFUSAL_BUSY, detail="32 jobs wait"))),
        ("cancel_job", H2A, 9, dict(cancel_job=job.CancelJob(job_id=JOB_ID))),
        ("rotate_key", H2A, 10, dict(rotate_key=rotation.RotateKey(key_id=NEXT_KEY_ID, public=HUB_PUBLIC))),
        ("key_reply", A2H, 10, dict(key_reply=rotation.KeyReply(key_id=NEXT_KEY_ID, public=AGENT_PUBLIC))),
        ("records_zstd", A2H, 11, dict(records=record_pb.Records(
            lane=LOGS, epoch=epoch, first=1, count=1, codec=record_pb.CODEC_ZSTD, raw_len=len(long),
            batch=compressed))),
        ("records_apps", A2H, 12, dict(records=record_pb.Records(
            lane=LOGS, epoch=epoch, first=2, count=3, raw_len=len(lines), batch=lines))),
        ("key_stored", H2A, 11, dict(key_stored=rotation.KeyStored(key_id=NEXT_KEY_ID))),
        ("relay", H2A, 12, dict(relay=relay.Relay(
            id_hi=0xFEDCBA9876543210, id_lo=7, sender=AGENT_ID, sender_name="edge-1", handler="door.open",
            payload=b"\x00front", delivery=relay.RELAY_DELIVERY_QUEUED))),
        ("relay_reply", A2H, 11, dict(relay_reply=relay.RelayReply(
            id_hi=0xFEDCBA9876543210, id_lo=7, outcome=relay.RELAY_OUTCOME_REFUSED, code=44,
            detail="no handler door.open"))),
    ]


def header(seq, correlation=0):
    return dict(seq=seq, sent_at_ms=HUB_TIME + 100 * seq, id_hi=0x0123456789ABCDEF, id_lo=seq,
                correlation_hi=0x0123456789ABCDEF if correlation else 0, correlation_lo=correlation)


def seal(prefix, key):
    return prefix + TRAILER + hmac.new(key, prefix, hashlib.sha256).digest()


def frames():
    """Name to (key, frame)."""
    made = {}
    for name, key, seq, body in bodies():
        envelope = Envelope(**header(seq, correlation={"pong": 5, "job_ack": 8}.get(name, 0)), **body)
        made[name] = (key, seal(envelope.SerializeToString(deterministic=True), key))
    # A body of a later version: field 150, and an ignorable extension, field 200.
    later = Envelope(**header(8)).SerializeToString() + bytes.fromhex("b20903010203" + "c00c01")
    made["unknown_body"] = (A2H, seal(later, A2H))
    return made


def open_frame(frame, key):
    """The envelope of a frame; ValueError where it is not one. The MAC is checked before anything is parsed."""
    if len(frame) < 34 or frame[-34:-32] != TRAILER:
        raise ValueError("bad_trailer")
    prefix, mac = frame[:-34], frame[-32:]
    if not hmac.compare_digest(hmac.new(key, prefix, hashlib.sha256).digest(), mac):
        raise ValueError("bad_mac")
    return Envelope.FromString(prefix)


# --- annotated hex ------------------------------------------------------------------------------------------------


def varint(raw, at):
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def annotate(raw, descriptor, depth=0):
    """One line a field: its bytes, then its number, name and value."""
    lines, at, indent = [], 0, "  " * depth
    while at < len(raw):
        start = at
        tag, at = varint(raw, at)
        number, kind = tag >> 3, tag & 7
        field = descriptor.fields_by_number.get(number)
        label = f"{number} {field.name}" if field else f"{number} (not known to this version)"
        if kind == 2:
            length, at = varint(raw, at)
            content, head, at = raw[at:at + length], raw[start:at], at + length
            inner = field and field.message_type
            if field and field.full_name == "outpost.v1.Records.batch" and not content.startswith(ZSTD_MAGIC):
                inner = record_pb.RecordBatch.DESCRIPTOR
            if inner:
                lines.append(f"{indent}{head.hex()}  # {label}, {length} bytes")
                lines += annotate(content, inner, depth + 1)
            else:
                text = repr(content.decode()) if field and field.type == FieldDescriptor.TYPE_STRING else f"{length} bytes"
                lines.append(f"{indent}{head.hex()} {content.hex()}  # {label} = {text}")
            continue
        if kind == 0:
            head = at
            value, at = varint(raw, at)
            if field and field.type == FieldDescriptor.TYPE_SINT64:
                value = (value >> 1) ^ -(value & 1)
            elif field and field.enum_type:
                value = field.enum_type.values_by_number[value].name
        else:
            head, at = at, at + (8 if kind == 1 else 4)
            value = int.from_bytes(raw[head:at], "little")
            if "epoch" in label or "id_" in label or "crc" in label or "correlation" in label:
                value = f"{value:#x}"
        lines.append(f"{indent}{raw[start:head].hex()} {raw[head:at].hex()}  # {label} = {value}")
    return lines


def golden_text(name, key, frame):
    keys = {CHALLENGE_KEY: "challenge key", A2H: "a2h session key", H2A: "h2a session key"}
    lines = [f"# {name}: {len(frame)} bytes, signed with the {keys[key]} of keys.json", *annotate(frame[:-34], Envelope.DESCRIPTOR)]
    lines += [f"{TRAILER.hex()}  # trailer: 15 mac, 32 bytes", f"{frame[-32:].hex()}  # HMAC-SHA256 of every byte above"]
    return "\n".join(lines) + "\n"


def parse_golden(text):
    return bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))


# --- commands -----------------------------------------------------------------------------------------------------


def write():
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "keys.json").write_text(key_vectors())
    (GOLDEN / upgrade.FILE).write_text(upgrade.vectors())
    for name, (key, frame) in frames().items():
        (GOLDEN / f"{name}.hex").write_text(golden_text(name, key, frame))


def refused(frame, key):
    try:
        open_frame(frame, key)
    except ValueError:
        return True
    return False


def check():
    wrong = []
    passed = 0

    def expect(condition, what):
        nonlocal passed
        passed += bool(condition)
        if not condition:
            wrong.append(what)

    expect((GOLDEN / "keys.json").read_text() == key_vectors(), "keys.json differs from what Python derives")
    upgrade.check((GOLDEN / upgrade.FILE).read_text(), expect)
    made = frames()
    committed = {path.stem for path in GOLDEN.glob("*.hex")}
    expect(committed == set(made), f"golden files and frames differ: {sorted(committed ^ set(made))}")
    for name in sorted(committed & set(made)):
        key, frame = made[name]
        text = (GOLDEN / f"{name}.hex").read_text()
        golden = parse_golden(text)
        expect(text == golden_text(name, key, frame), f"{name}.hex differs from what Python makes")
        expect(not refused(golden, key), f"{name}.hex does not open")
        body = open_frame(frame, key).WhichOneof("body") if not refused(golden, key) else None
        expect(body == (None if name == "unknown_body" else name.removesuffix("_zstd").removesuffix("_apps")), f"{name}.hex holds {body}")
        for at in range(len(golden)):
            flipped = bytearray(golden)
            flipped[at] ^= 1 << at % 8
            expect(refused(bytes(flipped), key), f"{name}.hex opens with byte {at} flipped")
            expect(refused(golden[:at], key), f"{name}.hex opens when cut to {at} bytes")
    for line in wrong:
        print(f"failed: {line}", file=sys.stderr)
    print(f"{passed} passed, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else "check"
    {"check": check, "write": write}[command]()
