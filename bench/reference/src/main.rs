//! The reference implementation of safetensors as a command.
//!
//! Other tests ask it for verdicts and digests, and the benchmarks for times in
//! the same run. Nothing here decides anything itself: every answer is the
//! `safetensors` crate's.

mod timing;

use safetensors::{SafeTensorError, SafeTensors};
use sha2::{Digest, Sha256};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::ExitCode;

const USAGE: &str = "usage:
  reference verdict FILE...          `ok` or `refuse CLASS` for each file, one a line
  reference verdicts                 the same for cases on stdin: u32 little-endian length, then the bytes
  reference grade FILE               says nothing; exit 0 = accepted, 1 = refused, 3 = panicked or unreadable
  reference dump FILE                tensors with their SHA-256 and metadata, sorted, tab separated
  reference parse FILE N             header parse and full deserialize, from memory
  reference open FILE N              open, map, parse
  reference touch FILE N             open, map, parse, touch every page
  reference one FILE TENSOR N        open, map, parse, copy one tensor
  reference populate FILE N          the same, with the pages brought in ahead
  reference load FILE... N           read whole and parse; tensors are views
  reference copy FILE N              open, map with pages brought in ahead, parse, copy every tensor
  reference slice FILE TENSOR C N    copy the first C columns of a matrix out of a mapping
  reference save FILE OUT N          serialize_to_file of what FILE holds
  reference save-durable FILE OUT N  the same, with file and directory synced
  reference edit FILE N              write FILE anew with other metadata, synced
  reference encode-header FILE N ORDER   serialize of FILE's names and shapes (meant for tensors of 0 bytes),
                                     handed over sorted or shuffled
Times are printed as JSON with min_ns and median_ns.
";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    // A panic is one of the verdicts; its message would only disturb the output.
    std::panic::set_hook(Box::new(|_| {}));
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["grade", file] = args[..] {
        return grade(file);
    }
    let done = match args[..] {
        ["verdict", ref files @ ..] if !files.is_empty() => verdict_files(files),
        ["verdicts"] => verdict_stream(),
        ["dump", file] => dump(file),
        ["parse", file, n] => timing::parse(file, n),
        ["open", file, n] => timing::open(file, n),
        ["touch", file, n] => timing::touch(file, n),
        ["one", file, name, n] => timing::one(file, name, n),
        ["populate", file, n] => timing::populate(file, n),
        ["load", ref files @ .., n] if !files.is_empty() => timing::load(files, n),
        ["copy", file, n] => timing::copy(file, n),
        ["slice", file, name, columns, n] => timing::slice(file, name, columns, n),
        ["save", file, out, n] => timing::save(file, out, n, false),
        ["save-durable", file, out, n] => timing::save(file, out, n, true),
        ["edit", file, n] => timing::edit(file, n),
        ["encode-header", file, n, order] => timing::encode_header(file, n, order),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("reference: {err}");
            ExitCode::from(2)
        }
    }
}

/// One line about `bytes`: `ok`, `refuse CLASS` with the name of the
/// `SafeTensorError` variant, or `panic`.
fn verdict(bytes: &[u8]) -> String {
    match catch_unwind(AssertUnwindSafe(|| SafeTensors::deserialize(bytes).map(|_| ()))) {
        Ok(Ok(())) => "ok".into(),
        Ok(Err(err)) => format!("refuse {}", class(&err)),
        Err(_) => "panic".into(),
    }
}

/// The variant's name alone, without what it carries.
fn class(err: &SafeTensorError) -> String {
    let text = format!("{err:?}");
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    text[..end].into()
}

fn verdict_files(files: &[&str]) -> Outcome<()> {
    let mut out = io::stdout().lock();
    for file in files {
        writeln!(out, "{}", verdict(&std::fs::read(file)?))?;
    }
    Ok(())
}

fn verdict_stream() -> Outcome<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut out = io::stdout().lock();
    let mut bytes = Vec::new();
    loop {
        let mut length = [0u8; 4];
        match input.read(&mut length[..1])? {
            0 => return Ok(()),
            _ => input.read_exact(&mut length[1..])?,
        }
        let length = u64::from(u32::from_le_bytes(length));
        bytes.clear();
        // Grows with what arrives, not with what the length promises.
        if (&mut input).take(length).read_to_end(&mut bytes)? as u64 != length {
            return Err("a case ends before its length".into());
        }
        writeln!(out, "{}", verdict(&bytes))?;
        out.flush()?;
    }
}

fn grade(file: &str) -> ExitCode {
    let Ok(bytes) = std::fs::read(file) else {
        return ExitCode::from(3);
    };
    match verdict(&bytes).as_str() {
        "ok" => ExitCode::SUCCESS,
        "panic" => ExitCode::from(3),
        _ => ExitCode::from(1),
    }
}

fn dump(file: &str) -> Outcome<()> {
    let bytes = std::fs::read(file)?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let mut tensors = SafeTensors::deserialize(&bytes)?.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = BufWriter::new(io::stdout().lock());
    for (name, view) in tensors {
        let digest: String = Sha256::digest(view.data()).iter().map(|b| format!("{b:02x}")).collect();
        let name = serde_json::to_string(&name)?;
        let shape = serde_json::to_string(view.shape())?;
        writeln!(out, "{name}\t{}\t{shape}\t{digest}", view.dtype())?;
    }
    let mut pairs: Vec<_> = header.metadata().iter().flatten().collect();
    pairs.sort();
    for (key, value) in pairs {
        let (key, value) = (serde_json::to_string(key)?, serde_json::to_string(value)?);
        writeln!(out, "@{key}\t{value}")?;
    }
    Ok(out.flush()?)
}
