#!/bin/sh
# Renews trusted_root.json and as-of.txt from the npm package @sigstore/tuf,
# whose seeds.json holds the target that its publishers verified through TUF.
#
#     sh sign/keyless/publicgood/refresh.sh [VERSION]
#
# Needs npm and python3. Look at the difference before it is committed: this
# file decides whom the program believes.
set -eu
version=${1:-latest}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm view --json "@sigstore/tuf@$version" version time >view.json
npm pack --silent "@sigstore/tuf@$version" >/dev/null
tar -xzf sigstore-tuf-*.tgz package/seeds.json
python3 - "$here" <<'EOF'
import base64, json, sys
here = sys.argv[1]
view = json.load(open("view.json"))
seeds = json.load(open("package/seeds.json"))
target = seeds["https://tuf-repo-cdn.sigstore.dev"]["targets"]["trusted_root.json"]
root = base64.b64decode(target, validate=True)
assert json.loads(root)["mediaType"] == "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
open(here + "/trusted_root.json", "wb").write(root)
open(here + "/as-of.txt", "w").write(view["time"][view["version"]][:10] + "\n")
print("@sigstore/tuf", view["version"], "of", view["time"][view["version"]])
EOF
