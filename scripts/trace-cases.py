#!/usr/bin/env python3
"""Runs programs in a root and writes what they opened:

    scripts/trace-cases.py ROOT CASES.json [EMULATOR] > TRACES.json

It needs root and strace, and for the programs of another machine a static emulator (qemu-user), whose own calls are those of
the program. Each case runs with namespaces of its own for the network and mounts: nothing leaves the machine.
Per case: `executables`, all that were exec'ed; `closure`, what the root's own loader maps for them, as real paths;
`opened_beyond_closure`, regular files opened for reading that no DT_NEEDED names; `probed_but_missing`, looked for and
absent. Host names in the commands lead to 127.0.0.1, where a server answers over TLS, and files in /tmp are the case's own."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

EMULATOR = []
CALL = re.compile(r"^\d+ +(open|openat|execve|access)\((.*)\) += (-?\d+)(?:<.*>)?(?: ([A-Z0-9]+))?")
PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
RUNTIME = ("/proc/", "/sys/", "/dev/")


def resolve(root, path):
    """The path inside the root without links."""
    parts, at, links = path.split("/"), "", 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            at = os.path.dirname(at)
            continue
        whole = at + "/" + part
        if os.path.islink(root + whole) and links < 40:
            links += 1
            target = os.readlink(root + whole)
            at = "" if target.startswith("/") else at
            parts = target.split("/") + parts
        else:
            at = whole
    return at or "/"


def inputs(directory):
    """Files that the cases read, and the certificate of their server."""
    texts = {
        "unbound.conf": 'server:\n interface: 127.0.0.1\n port: 5353\n username: ""\n chroot: ""\n directory: "/tmp"\n'
        ' pidfile: ""\n use-syslog: no\n module-config: "iterator"\n local-data: "svc.test. A 127.0.0.1"\n'
        "remote-control:\n control-enable: no\n",
        "mbox": "From a@svc.test Thu Jan  1 00:00:00 1970\nFrom: a@svc.test\nTo: b@svc.test\nSubject: hello\n\nhello\n",
        "in.ppm": "P3\n64 64\n255\n" + "200 100 50\n" * 4096,
        "bootstrap.sql": "create database d;\ncreate table d.t (a int);\ninsert into d.t values (1);\n",
        "nginx.conf": "daemon off; master_process off; pid /tmp/nginx.pid; error_log stderr;\nevents {}\nhttp {\n"
        " include /etc/nginx/mime.types; access_log off; client_body_temp_path /tmp; proxy_temp_path /tmp;\n"
        " fastcgi_temp_path /tmp; uwsgi_temp_path /tmp; scgi_temp_path /tmp; server { listen 127.0.0.1:8080; root /tmp; }\n}\n",
        "in.adoc": "= Title\n\nHello *world*.\n\n[source,ruby]\n----\nputs 1\n----\n",
    }
    for name, text in texts.items():
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=svc.test", "-addext"]
        + ["subjectAltName=DNS:svc.test", "-keyout", directory + "/key.pem", "-out", directory + "/cert.pem"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    os.chmod(directory, 0o1777)


def configure(root):
    """Files that scripts of packages would have made, for the time of the runs: of templates, where the root has them."""
    made = []
    for path, sources in [
        ("etc/passwd", ["usr/share/base-passwd/passwd.master"]),
        ("etc/group", ["usr/share/base-passwd/group.master"]),
        ("etc/nsswitch.conf", ["usr/share/libc-bin/nsswitch.conf"]),
        ("etc/ssl/certs/ca-certificates.crt", sorted(glob.glob("usr/share/ca-certificates/mozilla/*.crt", root_dir=root))),
    ]:
        sources = [os.path.join(root, source) for source in sources if os.path.exists(os.path.join(root, source))]
        text = "".join(open(source).read() for source in sources)
        text = text or {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}.get(path, "")
        if text and not os.path.exists(os.path.join(root, path)):
            with open(os.path.join(root, path), "w") as file:
                file.write(text)
            made.append(os.path.join(root, path))
    # What is bound must be there.
    if not os.path.exists(os.path.join(root, "etc/hosts")):
        open(os.path.join(root, "etc/hosts"), "w").close()
        made.append(os.path.join(root, "etc/hosts"))
    return made


def run(root, case, work):
    """The lines of strace and the exit status."""
    scratch = os.path.join(work, "tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    os.mkdir(scratch)
    inputs(scratch)
    bundle = os.path.join(root, "etc/ssl/certs/ca-certificates.crt")
    with open(os.path.join(work, "bundle"), "w") as file:
        file.write((open(bundle).read() if os.path.exists(bundle) else "") + open(scratch + "/cert.pem").read())
    with open(os.path.join(work, "hosts"), "w") as file:
        file.write("127.0.0.1 localhost svc.test\n")
    script = """ip link set lo up
mount --bind "$2/tmp" "$1/tmp"
bundle=$1/etc/ssl/certs/ca-certificates.crt; if [ -e "$bundle" ]; then mount --bind "$2/bundle" "$bundle"; fi
openssl s_server -quiet -www -accept 127.0.0.1:443 -cert "$2/tmp/cert.pem" -key "$2/tmp/key.pem" >/dev/null 2>&1 &
tls=$!; python3 -m http.server -b 127.0.0.1 -d "$2/tmp" 8080 >/dev/null 2>&1 &
trap "kill $tls $!" EXIT; sleep 1
mount --bind "$2/hosts" "$1/etc/hosts"; mount --rbind /proc "$1/proc"; mount --rbind /dev "$1/dev"
root=$1 out=$2/trace; shift 2
timeout 60 strace -f -y -s 4096 -o "$out" -e trace=open,openat,execve,access chroot "$root" "$@"
"""
    environment = {**PATH, **case.get("environment", {})}
    words = ["unshare", "--mount", "--net", "sh", "-c", script, "sh", root, work] + EMULATOR + case["command"]
    done = subprocess.run(words, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    sys.stderr.write("== %s: %d\n%s\n" % (case["name"], done.returncode, done.stdout.decode(errors="replace")[-600:]))
    with open(os.path.join(work, "trace"), errors="surrogateescape") as file:
        lines = file.read().split("\n")
    # What chroot itself does comes before.
    first = next(i for i, line in enumerate(lines) if 'execve("%s"' % (EMULATOR + case["command"])[0] in line and "= 0" in line)
    return lines[first:], done.returncode


def calls(root, lines):
    """(call, absolute path, flags, error) of each."""
    pending = {}
    for line in lines:
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            pending[pid] = line[: -len(" <unfinished ...>")]
            continue
        resumed = re.match(r"^\d+ +<\.\.\. \w+ resumed>(.*)$", line)
        if resumed:
            line = pending.pop(pid, "") + resumed.group(1)
        found = CALL.match(line)
        if not found:
            continue
        call, words, status, error = found.groups()
        path = re.search(r'"((?:[^"\\]|\\.)*)"', words)
        if not path:
            continue
        path = path.group(1).encode().decode("unicode_escape")
        at = re.match(r"(?:AT_FDCWD|\d+)<([^>]*)>", words)
        if not path.startswith("/"):
            base = at.group(1) if at else "/"
            base = base[len(root) :] if base.startswith(root) else base
            path = base.rstrip("/") + "/" + path
        yield call, os.path.normpath(path), words, (error if int(status) < 0 else None)


def loaded(root, executable):
    """What the loader maps for a program, or for the interpreter of a script, with the program itself."""
    real = resolve(root, executable)
    with open(root + real, "rb") as file:
        head = file.read(256)
    if head.startswith(b"#!"):
        interpreter = head[2:].split(b"\n")[0].split()
        name = interpreter[-1] if interpreter[0].endswith(b"/env") else interpreter[0]
        name = name.decode()
        return {real} | loaded(root, name if name.startswith("/") else "/usr/bin/" + name)
    headers = subprocess.run(["readelf", "-lW", root + real], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    interpreter = re.search(rb"interpreter: (.*)\]", headers.stdout)
    if not interpreter:
        return {real}
    command = ["chroot", root] + EMULATOR + [interpreter.group(1).decode(), "--list", real]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=PATH)
    found = {real}
    for line in done.stdout.decode().split("\n"):
        path = re.search(r"(?:=> |^\s+)(/\S+) \(0x", line)
        if path:
            found.add(resolve(root, path.group(1)))
    return found


def trace(root, case, work):
    lines, status = run(root, case, work)
    executables, opened, missing, closure = [], [], set(), set()
    for call, path, words, error in calls(root, lines):
        if error == "ENOENT":
            if call != "execve" and not path.startswith(("/proc/", "/dev/")):
                missing.add(path)
        elif error:
            continue
        elif call == "execve":
            path = case["command"][0] if [path] == EMULATOR else path
            if path not in executables:
                executables.append(path)
        elif call != "access" and not re.search(r"O_WRONLY|O_DIRECTORY|O_CREAT|O_RDWR", words):
            opened.append(path)
    for executable in executables:
        closure |= loaded(root, executable)
    beyond = []
    for path in opened:
        inside = os.path.join(work, path[1:]) if path.startswith("/tmp/") else root + resolve(root, path)
        skip = path.startswith(RUNTIME) or path == "/etc/ld.so.cache" or resolve(root, path) in closure
        if not skip and os.path.isfile(inside) and path not in beyond:
            beyond.append(path)
    return {
        "name": case["name"],
        "command": case["command"],
        "environment": case.get("environment", {}),
        "exit": "timeout" if status == 124 else status,
        "executables": executables,
        "closure": sorted(closure),
        "opened_beyond_closure": beyond,
        "probed_but_missing": sorted(missing),
    }


def main():
    root, cases = os.path.realpath(sys.argv[1]), json.load(open(sys.argv[2]))
    made = configure(root)
    if len(sys.argv) > 3:
        # In the root for the time of the runs.
        EMULATOR.append("/" + os.path.basename(sys.argv[3]))
        shutil.copy(sys.argv[3], root + EMULATOR[0])
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        try:
            json.dump([trace(root, case, work) for case in cases], sys.stdout, indent=1)
        finally:
            for path in made + [root + emulator for emulator in EMULATOR]:
                os.remove(path)
    print()


main()
