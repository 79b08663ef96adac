#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-tokens.py: sharp tools have one home, some have none"""
import re

import tree

NOWHERE = re.compile(
    r"\b(goto|strcpy|strcat|sprintf|vsprintf|strtok|strtok_r|atoi|atol|atoll|strtol|strtoul|strtoll"
    r"|strtoull|strtod|strtof|alloca|system|popen|sleep|usleep|rand|srand|localtime|localtime_r"
    r"|gets|g_error|gmtime|tmpnam|mktemp)\s*(?=[(\s])")
KEYWORDS = {"goto"}
CALL = r"(?<![\w.>])(%s)\s*\("
# What -> where it lives, in words and as a pattern of paths.
HOMES = [
    (r"dlopen|dlsym|dlmopen", "core/plugin/loader.c", r"core/plugin/loader[\w-]*\.c"),
    (r"epoll_\w+|accept4|sendfile", "core/net, isolate/carrier.c", r"core/net/.*|core/isolate/carrier\.c"),
    (r"accept|recv|recvmsg|recvfrom", "core/net and the local sockets of core/server and core/isolate",
     r"core/(net|server|isolate)/.*"),
    (r"SSL_\w+|BIO_\w+", "core/net/tls-*.c", r"core/net/tls[\w-]*\.[ch]"),
    (r"fork|vfork|clone|execve|execv|execvp|execl|fexecve|posix_spawn|setuid|setgid|setresuid"
     r"|setresgid|setgroups|initgroups|seccomp_\w+", "core/server",
     r"core/server/(supervisor|sandbox|process|worker-process|privileges)[\w-]*\.c"),
    (r"connect", "core/net/{connect,socket}.c, local sockets in core/base/log.c, core/server, core/cli",
     r"core/(net/connect[\w-]*|net/socket|base/log|server/[\w-]+|cli/[\w-]+)\.c"),
    (r"fsync|fdatasync|rename|renameat|renameat2", "core/base/durable.c",
     r"core/base/durable[\w-]*\.c"),
    (r"sqlite3_\w+", "core/mailbox/index*.c, fulltext.c and plugins on SQLite",
     r"core/mailbox/(index[\w-]*\.[ch]|fulltext\.c)|plugins/((store|directory)/(sqlite|mbox|maildir|second-factor)|filter/greylist)/.*"),
    (r"g_thread_new|g_thread_try_new|pthread_create|g_thread_pool_new",
     "core/net, core/journal, core/queue, core/mailbox, core/conform, core/server/jobs.c and ownership.c, isolate/carrier.c, maildir/defer.c, server/helper.c, ldap/pool.c, json/request.c",
     r"core/(net|journal|queue|mailbox|conform)/.*|core/server/(jobs|ownership)\.c|core/isolate/carrier\.c|plugins/store/maildir/defer\.c|plugins/directory/(ldap/pool|json/request)\.c|core/server/helper\.c"),
    (r"printf|puts|putchar|g_print|vprintf", "core/cli", r"core/cli/.*"),
]
# An early return between such a declaration and the first assignment frees what was never set.
UNSET = re.compile(r"^[ \t]+g_auto(?:free[ \t][\w \t]+?|(?:ptr|list|slist|queue)?[ \t]*\(\w+\))[ \t]*\**[ \t]*(\w+)[ \t]*(?=[;,\[])",
                   re.MULTILINE)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tests_may(path):
    """A test may use what it tests with; only what is nowhere allowed is refused there."""
    return path.startswith("tests/")


def bad_tokens(path, code):
    for match in NOWHERE.finditer(code):
        word = match.group(1)
        if word in KEYWORDS or re.match(r"\s*\(", code[match.end(1):]):
            if code[match.start() - 1:match.start()] not in (".", ">"):
                yield match.start(), "%s is used nowhere in this tree" % word
    for names, home, pattern in HOMES:
        if tests_may(path) or re.fullmatch(pattern, path):
            continue
        for match in re.finditer(CALL % names, code):
            yield match.start(), "%s belongs in %s" % (match.group(1), home)


def bad_comments(text):
    for offset, comment in tree.comments_of(text):
        if comment.startswith("//"):
            yield offset, "write /* */"
        if UNFINISHED.search(comment):
            yield offset, "unfinished work belongs in an issue"


def check(root, options):
    for path in tree.files(root, ("include", "core", "plugins", "tests", "examples"), (".c", ".h")):
        text = tree.read(root, path)
        code = tree.code_of(text)
        found = list(bad_tokens(path, code)) + list(bad_comments(text))
        found += [(match.start(), "dead code")
                  for match in re.finditer(r"^[ \t]*#[ \t]*if[ \t]+0\b", code, re.MULTILINE)]
        found += [(match.start(1), "%s is set where it is declared" % match.group(1))
                  for match in UNSET.finditer(code)]
        for offset, wrong in found:
            yield "%s:%d: %s" % (path, tree.line_of(text, offset), wrong)


tree.run("tokens", check)
