#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gss_client.py: the client of SASL GSSAPI for `posthorn conform mechanism --client`

    gss_client.py SERVICE@HOST USER PASSWORD

Reads a challenge a line in base64 ("-": begin), writes a response a line. The ticket is in the cache that
the environment names; RFC 4752 section 3.1, by MIT's library.
"""
import base64
import ctypes
import sys

GSS = ctypes.CDLL("libgssapi_krb5.so.2")
CONTINUE_NEEDED = 1
MUTUAL, INTEGRITY = 2, 32


class Buffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]

    def octets(self):
        return ctypes.string_at(self.value, self.length) if self.length else b""


def given(octets):
    """A reference to a buffer with these octets, which live as long as it does."""
    kept = ctypes.create_string_buffer(octets, max(len(octets), 1))
    one = Buffer(len(octets), ctypes.cast(kept, ctypes.c_void_p))
    one.kept = kept
    return ctypes.byref(one)


def client(service):
    """A generator: takes challenges, gives responses."""
    minor, name, context = ctypes.c_uint32(), ctypes.c_void_p(), ctypes.c_void_p()
    kind = ctypes.c_void_p.in_dll(GSS, "GSS_C_NT_HOSTBASED_SERVICE")
    GSS.gss_import_name(ctypes.byref(minor), given(service), kind, ctypes.byref(name))
    token, status = b"", CONTINUE_NEEDED
    yield
    while status == CONTINUE_NEEDED:
        out = Buffer()
        status = GSS.gss_init_sec_context(
            ctypes.byref(minor), None, ctypes.byref(context), name, None, MUTUAL | INTEGRITY, 0, None,
            given(token), None, ctypes.byref(out), None, None)
        token = yield out.octets()
    plain, wrapped = Buffer(), Buffer()
    if GSS.gss_unwrap(ctypes.byref(minor), context, given(token), ctypes.byref(plain),
                      None, None) != 0 or plain.octets()[0] & 1 == 0:
        return
    GSS.gss_wrap(ctypes.byref(minor), context, 0, 0, given(b"\1\0\0\0"), None,
                 ctypes.byref(wrapped))
    yield wrapped.octets()


def main():
    one = client(sys.argv[1].encode())
    next(one)
    for line in sys.stdin:
        word = line.strip()
        try:
            answer = one.send(b"" if word == "-" else base64.b64decode(word))
        except StopIteration:
            return
        print(base64.b64encode(answer).decode(), flush=True)


if __name__ == "__main__":
    main()
