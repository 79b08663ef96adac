#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""reference.py: writes docs/reference/ from the public headers and from the program itself

    python3 docs/reference.py --build build            writes the pages
    python3 docs/reference.py --build build --check    says which are stale; exit status 1 if any

A header's page is its head comment, then each declaration below its comment. The pages
of plugins and sections are what `posthorn plugin KIND NAME --markdown` prints from option rows.
"""
import argparse
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = os.path.join(TOP, "docs", "reference")
NOISE = re.compile(r"^(#ifndef POSTHORN_|#define POSTHORN_\w+_H$|#endif|G_BEGIN_DECLS|G_END_DECLS)")


def prose(comment):
    """The text of a comment; what is indented by a tab inside it becomes code."""
    body = comment.strip()[2:-2]
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in body.split("\n")]
    return "\n".join("    " + line.lstrip("\t") if line.startswith("\t") else line
                     for line in lines).strip()


def head_of(text):
    """Title line, prose, and where the head comment ends."""
    end = text.index("*/") + 2
    title, _, rest = prose(text[:end]).partition("\n")
    rest = re.sub(r"\n*SPDX-License-Identifier:.*", "", rest)
    return title, rest.strip(), end


def entries(text):
    """Paragraphs of declarations, each with the comment that it begins with."""
    lines = [line for line in text.split("\n") if not NOISE.match(line)]
    depth, block, blocks = 0, [], []
    for line in lines:
        if not line.strip() and depth == 0 and not open_comment(block):
            blocks.append("\n".join(block).strip("\n"))
            block = []
            continue
        block.append(line)
        depth += line.count("{") - line.count("}")
    blocks.append("\n".join(block).strip("\n"))
    return [block for block in blocks if block.strip()]


def open_comment(block):
    text = "\n".join(block)
    return text.rfind("/*") > text.rfind("*/")


def header_page(path):
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    title, rest, end = head_of(text)
    name, _, what = title.partition(": ")
    parts = ["# `posthorn/%s`" % name, what[:1].upper() + what[1:] + ".", rest]
    for block in entries(text[end:]):
        match = re.match(r"/\*.*?\*/", block, re.DOTALL)
        comment = match.group(0) if match else ""
        code = block[len(comment):].strip("\n")
        if comment and re.match(r"/\* -{3,}", comment):
            parts.append("## " + comment.strip("/*- \n").capitalize())
        elif comment:
            parts.append(prose(comment))
        if code and not code.startswith("#include"):
            parts.append("```c\n%s\n```" % code)
    return "\n\n".join(part for part in parts if part) + "\n"


def program_pages(build):
    """Pages of the kinds of section and of the plugins, as the program prints them."""
    program = os.path.join(build, "core", "posthorn")
    made = {}
    for word in ("server", "tls", "listener", "route", "store"):
        made["section-%s.md" % word] = printed(program, "section", word)
    for path in sorted(glob.glob(os.path.join(TOP, "plugins", "*", "*", "meson.build"))):
        kind = os.path.dirname(path).split(os.sep)[-2]
        for name in plugin_names(os.path.dirname(path), kind, build):
            made["plugin-%s-%s.md" % (kind, name)] = printed(program, kind, name)
    return made


def plugin_names(folder, kind, build):
    """A folder makes one plugin of its own name, or several with a common source."""
    offers = set()
    for path in glob.glob(os.path.join(folder, "*.c")):
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        offers.update(re.findall(r"PH_OFFER_%s\(\s*\"([\w-]+)\"" % kind.upper(), text))
        offers.update(re.findall(r"PH_KIND_%s,\s*\.name = \"([\w-]+)\"" % kind.upper(), text))
    return sorted(name for name in offers if os.path.exists(
        os.path.join(build, "plugins", "%s-%s.so" % (kind, name)))) or [os.path.basename(folder)]


def printed(program, kind, name):
    done = subprocess.run([program, "plugin", kind, name, "--markdown"], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise SystemExit("posthorn plugin %s %s: %s" % (kind, name, done.stderr.strip()))
    return done.stdout


def pages(build):
    made = {os.path.basename(path)[:-2] + ".md": header_page(path)
            for path in sorted(glob.glob(os.path.join(TOP, "include", "posthorn", "*.h")))}
    made.update(program_pages(build))
    index = ["# Reference", "Written by `docs/reference.py` from the headers and the program."]
    for title, start in (("Sections of a configuration", "section-"), ("Plugins", "plugin-"),
                         ("Headers of the contract", "")):
        names = [name for name in sorted(made) if name.startswith(start) and
                 (start or not name.startswith(("section-", "plugin-")))]
        index += ["## " + title, "\n".join("- [%s](%s)" % (
            name[len(start):-len(".md")].replace("-", " ", start == "plugin-"), name) for name in names)]
    made["README.md"] = "\n\n".join(index) + "\n"
    return made


def there():
    found = {}
    for path in glob.glob(os.path.join(PAGES, "*.md")):
        with open(path, encoding="utf-8") as stream:
            found[os.path.basename(path)] = stream.read()
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    made, old = pages(options.build), there()
    stale = sorted(name for name in set(made) | set(old) if made.get(name) != old.get(name))
    if options.check:
        for name in stale:
            print("docs/reference/%s: stale; run docs/reference.py" % name)
        return 1 if stale else 0
    os.makedirs(PAGES, exist_ok=True)
    for name in stale:
        path = os.path.join(PAGES, name)
        if name not in made:
            os.remove(path)
            continue
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(made[name])
    print("%d pages, %d written" % (len(made), len(stale)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
