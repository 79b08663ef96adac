# SPDX-License-Identifier: LGPL-2.1-or-later
"""sections.py: every store and stack of ours that the conformance kit tries

A stack is a list of sections, the last of which is tried. `{{data}}` stays for the config.
"""

SQLITE = """
[store sqlite]
plugin = sqlite
"""
MAILDIR = """
[store maildir]
plugin = maildir
path = {{data}}/maildir/{{domain}}/{{user}}
"""
MBOX = """
[store mbox]
plugin = mbox
inbox = {{data}}/mbox/{{domain}}/{{user}}/inbox
folders = {{data}}/mbox/{{domain}}/{{user}}/folders
index = {{data}}/mbox/{{domain}}/{{user}}/index.sqlite
stale-lock = 2s
"""
COMPRESS = """
[store compress]
plugin = compress
below = {below}
"""
ENCRYPT = """
[store encrypt]
plugin = encrypt
below = {below}
keys = {dir}/key
"""
MIRROR = """
[store mirror]
plugin = mirror
first = {below}
second = second
"""
SECOND = """
[store second]
plugin = sqlite
path = {{data}}/second/{{domain}}/{{user}}.sqlite
"""
FAULT = """
[store fault]
plugin = fault
below = {below}
probability = 0
"""

# Name -> (section to try, text).
STACKS = {
    "sqlite": ("sqlite", SQLITE),
    "maildir": ("maildir", MAILDIR),
    "mbox": ("mbox", MBOX),
    "compress": ("compress", SQLITE + COMPRESS.replace("{below}", "sqlite")),
    "encrypt": ("encrypt", SQLITE + ENCRYPT.replace("{below}", "sqlite")),
    "compress-encrypt": ("compress", SQLITE + ENCRYPT.replace("{below}", "sqlite")
                         + COMPRESS.replace("{below}", "encrypt")),
    "compress-maildir": ("compress", MAILDIR + COMPRESS.replace("{below}", "maildir")),
    # what other programs deliver there is plain
    "encrypt-maildir": ("encrypt", MAILDIR + ENCRYPT.replace("{below}", "maildir")
                        + "accept-plain = yes\n"),
    "mirror-maildir": ("mirror", MAILDIR + SECOND + MIRROR.replace("{below}", "maildir")),
    "mirror-mbox": ("mirror", MBOX + SECOND + MIRROR.replace("{below}", "mbox")),
    "mirror": ("mirror", SQLITE + SECOND + MIRROR.replace("{below}", "sqlite")),
    "fault": ("fault", SQLITE + FAULT.replace("{below}", "sqlite")),
}
