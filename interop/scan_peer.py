"""Asks other scanners about files: a path a line in, a JSON object a line out.

    python scan_peer.py < PATHS

Needs the packages picklescan, modelscan and fickling. Every file has a process
of its own and ten seconds for each scanner, of which it may hang. The answers
are dangerous, suspicious, clean, error (it gave up, or does not know the
format), or timeout.
"""

import contextlib
import importlib.metadata
import json
import multiprocessing
import os
import sys
import time

import fickling.loader
import modelscan.modelscan
import picklescan.scanner
from fickling.analysis import Severity

SECONDS = 10


def ask_picklescan(path):
    result = picklescan.scanner.scan_file_path(path)
    if result.infected_files:
        return "dangerous"
    if result.scan_err or not result.scanned_files:
        return "error"
    suspicious = any(g.safety == picklescan.scanner.SafetyLevel.Suspicious for g in result.globals)
    return "suspicious" if suspicious else "clean"


def ask_modelscan(path):
    scanner = modelscan.modelscan.ModelScan()
    result = scanner.scan(path)
    if scanner.issues.all_issues:
        return "dangerous"
    return "error" if result["errors"] or not result["summary"]["scanned"]["total_scanned"] else "clean"


def ask_fickling(path):
    """A zip is given to the function that it has for zips."""
    with open(path, "rb") as f:
        zipped = f.read(4) == b"PK\x03\x04"
    results = list(fickling.loader.scan_zip_archive(path).values()) if zipped else [fickling.loader.scan_file(path)]
    if not results:
        return "error"  # nothing in it that it scans
    worst = max(r.severity for r in results)
    if worst == Severity.LIKELY_SAFE:
        return "clean"
    return "dangerous" if worst >= Severity.LIKELY_OVERTLY_MALICIOUS else "suspicious"


PEERS = {"picklescan": ask_picklescan, "modelscan": ask_modelscan, "fickling": ask_fickling}


def answer(ask, path, pipe):
    with open(os.devnull, "w", encoding="utf-8") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
        try:
            said = ask(path)
        except (Exception, SystemExit):
            said = "error"
    pipe.send(said)


def ask(name, path):
    here, there = multiprocessing.Pipe(False)
    process = multiprocessing.get_context("fork").Process(target=answer, args=(PEERS[name], path, there))
    begin = time.monotonic()
    process.start()
    there.close()
    try:
        said = here.recv() if here.poll(SECONDS) else "timeout"
    except EOFError:
        said = "error"
    process.kill()
    process.join()
    return said, round(time.monotonic() - begin, 3)


def main():
    print(json.dumps({name: importlib.metadata.version(name) for name in PEERS}), flush=True)
    for line in sys.stdin:
        path = line.rstrip("\n")
        row = {"path": path}
        for name in PEERS:
            row[name], row[name + "_s"] = ask(name, path)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
