"""Signs and verifies models with model_signing, for oms_test.go.

Reads one JSON document a line: what to do, and prints one for each: an empty
object, or {"error": why not}.
"""

import json
import pathlib
import sys

try:
    from model_signing import hashing, signing, verifying
except ImportError as e:
    sys.exit(f"no model_signing: {e}")


def serialization(job):
    h = hashing.Config()
    algorithm = job.get("algorithm", "sha256")
    links = job.get("allow_symlinks", False)
    if job.get("shard_size"):
        h.use_shard_serialization(hashing_algorithm=algorithm, shard_size=job["shard_size"], allow_symlinks=links)
    else:
        h.use_file_serialization(hashing_algorithm=algorithm, allow_symlinks=links)
    if links:
        h.set_allow_symlinks(True)  # by itself, what it was made with is forgotten
    return h.set_ignored_paths(paths=[pathlib.Path(p) for p in job.get("ignore", [])], ignore_git_paths=True)


def sign(job):
    c = signing.Config().set_hashing_config(serialization(job))
    if job["method"] == "key":
        c.use_elliptic_key_signer(private_key=job["key"])
    else:
        c.use_certificate_signer(
            private_key=job["key"], signing_certificate=job["certificate"],
            certificate_chain=[pathlib.Path(p) for p in job["chain"]])
    c.sign(pathlib.Path(job["model"]), pathlib.Path(job["signature"]))


def verify(job):
    c = verifying.Config()
    if job["method"] == "key":
        c.use_elliptic_key_verifier(public_key=job["key"])
    else:
        c.use_certificate_verifier(certificate_chain=[pathlib.Path(p) for p in job["chain"]])
    # Without it, it hashes as the bundle says.
    if job.get("ignore"):
        c.set_hashing_config(serialization(job))
    c.set_ignore_unsigned_files(job.get("ignore_unsigned", False))
    c.verify(pathlib.Path(job["model"]), pathlib.Path(job["signature"]))


for line in sys.stdin:
    job = json.loads(line)
    try:
        {"sign": sign, "verify": verify}[job["do"]](job)
        answer = {}
    except Exception as e:  # whatever it raises is its answer
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), flush=True)
