"""Writes the database of installed packages of apk for the pieces of scripts/musl-root.sh: musl-root-db.py ARCH PIECES"""

import base64
import hashlib
import os
import sys


def checksum(data):
    return "Q1" + base64.b64encode(hashlib.sha1(data).digest()).decode()


def record(arch, name, version, top):
    files = []
    size = 0
    for directory, names, plain in sorted(os.walk(top)):
        here = os.path.relpath(directory, top)
        # A link to a directory counts among the directories of the walk, and is a file of the package.
        entries = sorted(plain + [n for n in names if os.path.islink(os.path.join(directory, n))])
        if not entries:
            continue
        files.append("F:" + ("" if here == "." else here))
        for entry in entries:
            path = os.path.join(directory, entry)
            files.append("R:" + entry)
            if os.path.islink(path):
                files += ["a:0:0:777", "Z:" + checksum(os.readlink(path).encode())]
                continue
            with open(path, "rb") as file:
                data = file.read()
            size += len(data)
            if os.access(path, os.X_OK):
                files.append("a:0:0:755")
            files.append("Z:" + checksum(data))
    head = [
        "C:" + checksum("\n".join(files).encode()),
        "P:" + name,
        "V:" + version + "-r0",
        "A:" + arch,
        "S:%d" % size,
        "I:%d" % size,
        "T:" + name,
        "o:" + name,
    ]
    return "\n".join(head + files) + "\n\n"


def main():
    arch, pieces = sys.argv[1:]
    for piece in sorted(os.listdir(pieces)):
        name, version = piece.rsplit("=", 1)
        sys.stdout.write(record(arch, name, version, os.path.join(pieces, piece)))


main()
