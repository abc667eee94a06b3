"""Writes the cases of the scanner: attacks, bombs, and what looks like them.

    python make.py

Needs Python 3.11 and its standard library. It writes cases.json, a table of
what each case is and what the scanner has to say, and cases.tar.gz, the files.
The payloads are inert (os.system("true"), or a name that nothing calls) and
are never run; where a case "fires", inert.py has shown that Python's own
unpickler reaches the payload, or what lies around the pickle is known to be
opened by the loader that it is for.

The letters are those of docs/scan.md: A calls, B disguises, C the extension
registry, D nesting, E broken after firing, F zip, G resources, H names,
S safetensors, R repositories, N harmless.
"""

import io
import json
import gzip
import os
import tarfile

import calls
import campaign
import containers
import harmless
import inert
import models
import uses

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    table, files = [], {}
    for module in (calls, containers, models, uses, campaign, harmless):
        for case in module.cases():
            name, data = case["name"], case.pop("data")
            if name in files:
                raise SystemExit("two cases are called " + name)
            if case["fires"] is None:
                case["fires"] = isinstance(data, bytes) and bool(inert.calls(data))
            files[name] = data
            table.append(case)
    table.sort(key=lambda case: case["name"])
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as t:
        for name in sorted(files):
            data = files[name] if isinstance(files[name], dict) else {"": files[name]}
            for path, raw in sorted(data.items()):
                info = tarfile.TarInfo(name + ("/" + path if path else ""))
                info.size = len(raw)
                t.addfile(info, io.BytesIO(raw))
    with open(os.path.join(HERE, "cases.tar.gz"), "wb") as f, gzip.GzipFile("", "wb", 9, f, 0) as z:
        z.write(out.getvalue())
    with open(os.path.join(HERE, "cases.json"), "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(case) for case in table) + "\n]\n")
    print("%d cases, %d of which fire" % (len(table), sum(case["fires"] for case in table)))


if __name__ == "__main__":
    main()
