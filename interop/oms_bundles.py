"""Makes the keys, the model and the bundles that sign's tests read.

    python3 interop/oms_bundles.py keys sign/testdata
    python3 interop/oms_bundles.py model sign/testdata
    VENV/bin/python interop/oms_bundles.py bundles sign/testdata

The first needs openssl, the last one a Python with the version of
model_signing whose bundles are wanted: it was run with 0.2.0, 0.3.1, 1.0.0,
1.0.1 and 1.1.1, and names bundles after the version. Versions before 1.1 also
need sigstore-protobuf-specs==0.3.2, pyOpenSSL, pyasn1 and cryptography<46, and
sigstore==3.6.2, installed without its dependencies. keys/p256-cosign.pem is
what cosign 3.1.3 makes: COSIGN_PASSWORD=secret cosign import-key-pair --key p256.pem
"""

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import tempfile

FILES = {
    "README.md": b"# A model\n",
    "config.json": b'{"hidden_size": 8}\n',
    "weights.bin": bytes(range(100)),
    # In the order of code points a-b comes before a/b, by parts after it.
    "a/b": b"below a\n",
    "a-b": b"beside a\n",
    "a.txt": b"text\n",
    "empty": b"",
    ".hidden/x": b"dot\n",
    "with space/\u00fcn\u00ef\u00e7\u00f8d\u00e9 \U0001f600.txt": "\u00fc\n".encode(),
    "sub/.gitignore": b"not at the top\n",
}
CURVES = {"p256": "prime256v1", "p384": "secp384r1", "p521": "secp521r1"}


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


def keys(out):
    d = out / "keys"
    d.mkdir(parents=True, exist_ok=True)
    for name, curve in CURVES.items():
        # SEC 1, with the parameters before the key.
        openssl("ecparam", "-name", curve, "-genkey", "-out", f"{name}.pem", cwd=d)
        openssl("ec", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub.pem", cwd=d)
    openssl("ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", "k256.pem", cwd=d)
    openssl("ec", "-in", "k256.pem", "-pubout", "-out", "k256.pub.pem", cwd=d)
    openssl("genpkey", "-algorithm", "ed25519", "-out", "ed25519.pem", cwd=d)
    openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem", cwd=d)
    # The same key, in every form that hides it.
    p8 = ["pkcs8", "-topk8", "-in", "p256.pem", "-passout", "pass:secret"]
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "p256.pem", "-out", "p256-pkcs8.pem", cwd=d)
    openssl(*p8, "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256", "-out", "p256-pbkdf2-sha256.pem", cwd=d)
    openssl(*p8, "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512", "-out", "p256-pbkdf2-sha512.pem", cwd=d)
    openssl(*p8, "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA512-256", "-out", "p256-pbkdf2-sha512-256.pem", cwd=d)
    openssl(*p8, "-v2", "des3", "-v2prf", "hmacWithSHA1", "-out", "p256-pbkdf2-sha1-des3.pem", cwd=d)
    openssl(*p8, "-scrypt", "-scrypt_N", "1024", "-out", "p256-scrypt.pem", cwd=d)
    openssl(*p8, "-v1", "PBE-SHA1-3DES", "-out", "p256-pbes1.pem", cwd=d)
    openssl("ec", "-in", "p256.pem", "-aes256", "-passout", "pass:secret", "-out", "p256-dek.pem", cwd=d)
    text = subprocess.run(["openssl", "ec", "-in", "p256.pem", "-text"], cwd=d, check=True, capture_output=True).stdout
    (d / "p256-text.pem").write_bytes(text)

    config = """[root]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash
[between]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
[signs]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
[code]
extendedKeyUsage=codeSigning
[useless]
keyUsage=critical,keyAgreement
extendedKeyUsage=serverAuth
"""
    (d / "x.cnf").write_text(config)

    def certify(name, key, section, issuer, days, start=()):
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", "x.csr", cwd=d)
        by = ["-signkey", key] if issuer is None else ["-CA", f"{issuer[0]}.crt", "-CAkey", issuer[1], "-CAcreateserial"]
        openssl("x509", "-req", "-in", "x.csr", "-extfile", "x.cnf", "-extensions", section,
                *by, "-days", str(days), "-out", f"{name}.crt", cwd=d)

    century = 36525
    certify("root", "p521.pem", "root", None, century)
    certify("other-root", "p256.pem", "root", None, century)
    certify("between", "p384.pem", "between", ("root", "p521.pem"), century)
    for name, key in {"leaf-p256": "p256.pem", "leaf-p384": "p384.pem", "leaf-p521": "p521.pem",
                      "leaf-ed25519": "ed25519.pem", "leaf-rsa": "rsa.pem"}.items():
        certify(name, key, "signs", ("between", "p384.pem"), century)
    certify("leaf-code", "p256.pem", "code", ("between", "p384.pem"), century)
    certify("leaf-useless", "p256.pem", "useless", ("between", "p384.pem"), century)
    # Of one day, which has long passed when the tests run.
    openssl("req", "-new", "-key", "p256.pem", "-subj", "/CN=leaf-expired", "-out", "x.csr", cwd=d)
    openssl("x509", "-req", "-in", "x.csr", "-extfile", "x.cnf", "-extensions", "signs", "-CA", "between.crt",
            "-CAkey", "p384.pem", "-CAcreateserial", "-days", "1", "-out", "leaf-expired.crt", cwd=d)
    for name in ["x.csr", "x.cnf", *[p.name for p in d.glob("*.srl")]]:
        (d / name).unlink()


def model(out):
    for name, content in FILES.items():
        p = out / "model" / name
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_bytes(content)


def bundles(out):
    version = importlib.metadata.version("model_signing")
    k, d = out / "keys", out / "bundles"
    d.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        # Its name is in the statement.
        root = pathlib.Path(tmp) / "model"
        shutil.copytree(out / "model", root)
        if version == "0.2.0":
            bundles020(root, k, d)
            return
        from model_signing import hashing, signing

        number = tuple(int(x) for x in version.split("."))

        def write(name, path, signer, h=None):
            # Before 1.1 __init__ makes a signer of Sigstore, which asks the network.
            c = object.__new__(signing.Config)
            c._hashing_config = hashing.Config()
            if h is not None:
                c.set_hashing_config(h)
            signer(c).sign(path, d / f"{version}-{name}.sig")

        def key(name):
            return lambda c: c.use_elliptic_key_signer(private_key=k / f"{name}.pem")

        def chain(name, key):
            return lambda c: c.use_certificate_signer(
                private_key=k / f"{key}.pem", signing_certificate=k / f"{name}.crt",
                certificate_chain=[k / "between.crt"])

        for name in CURVES:
            write(f"key-{name}", root, key(name))
            if number >= (1, 0):  # 0.3.1 fails: it misspells rawBytes
                write(f"certificate-{name}", root, chain(f"leaf-{name}", name))
        write("file", root / "weights.bin", key("p256"))
        write("shards", root, key("p256"), hashing.Config().use_shard_serialization(shard_size=16))
        write("shards-blake2b", root, key("p256"),
              hashing.Config().use_shard_serialization(hashing_algorithm="blake2", shard_size=1000))
        write("blake2b", root, key("p256"), hashing.Config().use_file_serialization(hashing_algorithm="blake2"))
        write("ignore", root, key("p256"),
              hashing.Config().set_ignored_paths(paths=[root / "a", root / "empty"], ignore_git_paths=True))
        if number >= (1, 1):
            # Asked for shards of BLAKE3, it makes files.
            write("blake3", root, key("p256"), hashing.Config().use_file_serialization(hashing_algorithm="blake3"))


def bundles020(root, k, d):
    from model_signing import model
    from model_signing.hashing import file, memory
    from model_signing.serialization import serialize_by_file
    from model_signing.signature import key, pki
    from model_signing.signing import in_toto, in_toto_signature

    def hasher(path):
        return file.SimpleFileHasher(path, memory.SHA256())

    def write(name, signer):
        serializer = serialize_by_file.ManifestSerializer(file_hasher_factory=hasher)
        signed = model.sign(root, in_toto_signature.IntotoSigner(signer),
                            in_toto.DigestsIntotoPayload.from_manifest, serializer)
        signed.write(d / f"0.2.0-{name}.sig")

    for name in CURVES:
        write(f"key-{name}", key.ECKeySigner.from_path(str(k / f"{name}.pem")))
        write(f"certificate-{name}", pki.PKISigner.from_path(
            str(k / f"{name}.pem"), str(k / f"leaf-{name}.crt"), [str(k / "between.crt")]))


if __name__ == "__main__":
    {"keys": keys, "model": model, "bundles": bundles}[sys.argv[1]](pathlib.Path(sys.argv[2]))
