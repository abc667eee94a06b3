// Verifies a bundle with npm's @sigstore/verify.
//
//     node keyless.cjs MODULES BUNDLE TRUSTED_ROOT IDENTITY ISSUER
const fs = require('fs');
const path = require('path');
const [modules, bundle, root, identity, issuer] = process.argv.slice(2);
const use = (name) => require(path.resolve(modules, name));
const { bundleFromJSON } = use('@sigstore/bundle');
const { TrustedRoot } = use('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = use('@sigstore/verify');
const read = (file) => JSON.parse(fs.readFileSync(file));

try {
  const trust = toTrustMaterial(TrustedRoot.fromJSON(read(root)));
  const literal = identity.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const signer = new Verifier(trust).verify(toSignedEntity(bundleFromJSON(read(bundle))), {
    subjectAlternativeName: '^' + literal + '$',
    extensions: { issuer },
  });
  console.log('verified: ' + signer.identity.subjectAlternativeName + ' of ' + signer.identity.extensions.issuer);
} catch (e) {
  console.log(e.code + ': ' + e.message);
  process.exit(1);
}
