#!/usr/bin/env python3
"""Opens capsules of format 2 by following FORMAT.md, and nothing else: `open.py KEY-IN-HEX SERVICE < capsule > state`.

With files behind that, it prints a line for each: `opened` and the state in hex, or `refused` and why. It needs Python 3.8 and the package `cryptography`. It shares no line of code with Hotbay: what it can open, you can open.
It reads a capsule whole, and writes nothing before all of it is authentic.
"""

import hmac
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TAG = 16
NOT_KNOWN = 2**64 - 1


class Refused(Exception):
    pass


def derive(key, salt, info, length):
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(key)


def texts(data):
    """Four texts, each behind its length, and nothing else."""
    found = []
    for _ in range(4):
        if not data or len(data) < 1 + data[0]:
            raise Refused("bad header: it is not as long as its fields")
        text = data[1 : 1 + data[0]]
        if not all(0x21 <= byte <= 0x7E for byte in text):
            raise Refused("bad header: a text is not visible ASCII")
        found.append(text.decode("ascii"))
        data = data[1 + data[0] :]
    if data:
        raise Refused("bad header: it is not as long as its fields")
    return found


def open_capsule(key, service, data):
    if not data.startswith(b"\x89HOTBAY\n"):
        raise Refused("not a Hotbay state file")
    number = lambda start, length: int.from_bytes(data[start : start + length], "little")
    if number(8, 2) != 2:
        raise Refused(f"format {number(8, 2)} is not the one of this script")
    h = number(10, 2)
    if not 126 <= h <= 955:
        raise Refused("bad header: its length")
    if len(data) < h:
        raise Refused("truncated")
    head = data[:h]
    cipher, chunk_log2 = head[12], head[13]
    if cipher not in (1, 2, 3) or not 6 <= chunk_log2 <= 20:
        raise Refused("bad header: cipher or chunk length")
    c = 1 << chunk_log2
    key_id, key_check, salt = head[14:22], head[22:38], head[38:70]
    n = number(98, 8)
    found, _plugin, _version, _content_type = texts(head[106 : h - TAG])

    body = data[h:]
    if n == NOT_KNOWN:
        sizes = [len(body[at : at + c + TAG]) - TAG for at in range(0, len(body), c + TAG)]
        if not sizes or sizes[-1] < 0 or (sizes[-1] == 0 and len(sizes) > 1):
            raise Refused("truncated")
    else:
        k = max(1, -(-n // c))
        if k > 2**32:
            raise Refused("bad header: more chunks than can be counted")
        if len(data) != h + n + TAG * k:
            raise Refused("truncated" if len(data) < h + n + TAG * k else "trailing bytes")
        sizes = [c] * (k - 1) + [n - c * (k - 1)]

    if key_id != derive(key, None, b"hotbay key id", 8):
        raise Refused("wrong key")
    if not hmac.compare_digest(key_check, derive(key, salt, b"hotbay state 2 key check", 16)):
        raise Refused("header changed")
    if {16: 1, 24: 2, 32: 3}[len(key)] != cipher:
        raise Refused("bad header: cipher")
    tag = derive(key, salt, b"hotbay state 2 header" + head[: h - TAG], 16)
    if not hmac.compare_digest(head[h - TAG :], tag):
        raise Refused("header changed")
    if found != service:
        raise Refused("other service")

    prefix = derive(key, salt, b"hotbay state 2 nonces", 7)
    aead = AESGCM(derive(key, salt, b"hotbay state 2 subkey" + bytes([cipher]), len(key)))
    state, at = [], 0
    for index, size in enumerate(sizes):
        last = index == len(sizes) - 1
        nonce = prefix + index.to_bytes(4, "big") + bytes([last])
        try:
            state.append(aead.decrypt(nonce, body[at : at + size + TAG], head))
        except InvalidTag:
            raise Refused(f"damaged: chunk {index}") from None
        at += size + TAG
    return b"".join(state)


def main(key, service, *files):
    key = bytes.fromhex(key)
    if not files:
        sys.stdout.buffer.write(open_capsule(key, service, sys.stdin.buffer.read()))
    for file in files:
        with open(file, "rb") as capsule:
            data = capsule.read()
        try:
            print("opened", open_capsule(key, service, data).hex())
        except Refused as error:
            print("refused", error)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as error:
        sys.exit(f"failed to open the capsule: {error}")
