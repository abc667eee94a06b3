"""Holds the command to its contract, with the Python package as the judge.

    python command.py TENSMITH

Needs the packages of requirements.txt. Prints what differs, exit 1 if anything.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile

import peer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VECTORS = os.path.join(ROOT, "conformance", "vectors")


class Trial:
    def __init__(self, program):
        self.program = os.path.abspath(program)
        self.checks = 0
        self.failures = []

    def equal(self, what, got, want):
        self.checks += 1
        if got != want:
            self.failures.append(f"{what}:\n  got  {got!r}\n  want {want!r}")

    def run(self, *arguments, status=0):
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=60)
        self.equal(f"exit status of tensmith {' '.join(arguments)} ({done.stderr.strip()[:300]})", done.returncode, status)
        return done.stdout

    def document(self, verb, *arguments, status=0):
        document = json.loads(self.run(verb, "--json", *arguments, status=status))
        self.equal(f"schema of {verb}", document["schema"], f"tensmith.{verb}/1")
        return document


def reads(trial, folder):
    """ls, check and hash of what Python wrote."""
    for want in peer.write(folder):
        file = want["file"]
        trial.equal(f"valid {file}", trial.document("check", file)["valid"], True)

        listing = trial.document("ls", file)
        trial.equal(f"metadata of {file}", listing.get("metadata") or {}, want["metadata"] or {})
        with open(file, "rb") as raw:
            content = raw.read()
        found = []
        for tensor in listing["tensors"]:
            data = content[tensor["offset"] : tensor["offset"] + tensor["bytes"]]
            found.append({key: tensor[key] for key in ("name", "dtype", "shape")} | {"sha256": hashlib.sha256(data).hexdigest()})
        trial.equal(f"tensors of {file}", sorted(found, key=lambda tensor: tensor["name"]), want["tensors"])

        lines = trial.run("hash", "--tensors", file)
        trial.equal(f"hash --tensors {file}", lines, "".join(f"{t['sha256']}  {t['name']}\n" for t in want["tensors"]))

        length = 8 + int.from_bytes(content[:8], "little")
        payload = trial.run("hash", "--payload", file).split()[0]
        trial.equal(f"hash --payload {file}", payload, hashlib.sha256(content[length:]).hexdigest())

        whole = trial.run("hash", file)
        trial.equal(f"hash {file}", whole, f"{hashlib.sha256(content).hexdigest()}  {file}\n")


def writes(trial, folder):
    """Python reads what the command wrote, and finds nothing changed."""
    for want in peer.write(folder):
        out = os.path.join(folder, "repacked.safetensors")
        trial.run("repack", want["file"], "-o", out, "--align", "64", "--force")
        if not os.path.exists(out):
            continue  # the exit status has told
        got = peer.dump(out)
        trial.equal(f"repacked {want['file']}", got | {"file": ""}, want | {"file": ""})
        trial.run("repack", want["file"], "-o", out, status=2)  # it is there


def verdicts(trial):
    """check on every vector: exit status, and a finding with an id where the file is refused."""
    for name in sorted(os.listdir(VECTORS)):
        stem, extension = os.path.splitext(name)
        if extension != ".json":
            continue
        with open(os.path.join(VECTORS, name), encoding="utf-8") as description:
            accepted = json.load(description)["verdict"] == "accept"
        document = trial.document("check", os.path.join(VECTORS, stem + ".safetensors"), status=0 if accepted else 1)
        trial.equal(f"valid {stem}", document["valid"], accepted)
        if not accepted:
            trial.equal(f"{stem} has findings with ids", [f for f in document["findings"] if not f["id"]] or not document["findings"], False)


def contract(trial, folder):
    """Exit statuses that scripts rely on."""
    trial.run("check", os.path.join(folder, "missing.safetensors"), status=2)
    trial.run("check", "--no-such-flag", status=64)
    trial.run("no-such-verb", status=64)


def main():
    trial = Trial(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        reads(trial, folder)
        writes(trial, folder)
        contract(trial, folder)
    verdicts(trial)
    for failure in trial.failures:
        print(failure)
    print(f"{trial.checks - len(trial.failures)} checks passed, {len(trial.failures)} failed")
    sys.exit(1 if trial.failures else 0)


if __name__ == "__main__":
    main()
