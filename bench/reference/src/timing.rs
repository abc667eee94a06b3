//! The times of the reference, for the side-by-side benchmarks.

use crate::Outcome;
use memmap2::{Mmap, MmapOptions};
use safetensors::slice::IndexOp;
use safetensors::tensor::{serialize, serialize_to_file, TensorView};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// Maps a file.
fn mapped(file: impl AsRef<Path>) -> Outcome<Mmap> {
    // SAFETY: the benchmark owns the file; nothing shortens it meanwhile, for the
    // crate replaces files and does not write to them.
    Ok(unsafe { Mmap::map(&File::open(file)?)? })
}

/// Maps a file with every page brought in ahead.
fn populated(file: impl AsRef<Path>) -> Outcome<Mmap> {
    // SAFETY: as above.
    Ok(unsafe { MmapOptions::new().populate().map(&File::open(file)?)? })
}

/// Nanoseconds of each run.
struct Runs(Vec<u128>);

impl Runs {
    /// Times `work` n times; `setup` makes its input outside the clock, and what
    /// it returns is dropped outside the clock too.
    fn measure<I, O>(n: &str, mut setup: impl FnMut() -> I, mut work: impl FnMut(I) -> Outcome<O>) -> Outcome<Runs> {
        let n: usize = n.parse().map_err(|_| "N is no number")?;
        if n == 0 {
            return Err("N must be at least 1".into());
        }
        let mut runs = Vec::new();
        for _ in 0..n {
            let input = setup();
            let start = Instant::now();
            let output = work(input)?;
            runs.push(start.elapsed().as_nanos());
            drop(black_box(output));
        }
        runs.sort_unstable();
        Ok(Runs(runs))
    }

    fn json(&self) -> String {
        let (min, median) = (self.0[0], self.0[self.0.len() / 2]);
        format!("{{\"n\":{},\"min_ns\":{min},\"median_ns\":{median},\"rss\":{}}}", self.0.len(), peak())
    }
}

/// The most memory this process has had, in bytes; -1 where the system does not
/// tell.
fn peak() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).map_or(-1, |kib: i64| kib << 10)
}

pub fn parse(file: &str, n: &str) -> Outcome<()> {
    let bytes = std::fs::read(file)?;
    let header = Runs::measure(n, || (), |()| Ok(SafeTensors::read_metadata(black_box(&bytes))?))?;
    let whole = Runs::measure(n, || (), |()| Ok(SafeTensors::deserialize(black_box(&bytes))?))?;
    println!("{{\"read_metadata\":{},\"deserialize\":{}}}", header.json(), whole.json());
    Ok(())
}

pub fn open(file: &str, n: &str) -> Outcome<()> {
    let runs = Runs::measure(n, || (), |()| {
        let map = mapped(file)?;
        let count = SafeTensors::deserialize(&map)?.len();
        Ok((map, count))
    })?;
    println!("{}", runs.json());
    Ok(())
}

/// Maps the file and touches every page of every tensor.
pub fn touch(file: &str, n: &str) -> Outcome<()> {
    touch_map(n, || mapped(file))
}

fn touch_map(n: &str, map: impl Fn() -> Outcome<Mmap>) -> Outcome<()> {
    let runs = Runs::measure(n, || (), |()| {
        let map = map()?;
        let mut sum = 0u64;
        for (_, view) in SafeTensors::deserialize(&map)?.iter() {
            sum += view.data().iter().step_by(4096).map(|&b| u64::from(b)).sum::<u64>();
        }
        Ok((map, black_box(sum)))
    })?;
    println!("{}", runs.json());
    Ok(())
}

/// Takes one tensor out of a closed file.
pub fn one(file: &str, name: &str, n: &str) -> Outcome<()> {
    let runs = Runs::measure(n, || (), |()| {
        let map = mapped(file)?;
        let data = SafeTensors::deserialize(&map)?.tensor(name)?.data().to_vec();
        Ok((map, data))
    })?;
    println!("{}", runs.json());
    Ok(())
}

/// Maps the file with every page brought in ahead, and touches every page.
pub fn populate(file: &str, n: &str) -> Outcome<()> {
    touch_map(n, || populated(file))
}

/// Reads whole files; their tensors are views of the memory they were read
/// into.
pub fn load(files: &[&str], n: &str) -> Outcome<()> {
    let runs = Runs::measure(n, || (), |()| {
        let mut all = Vec::new();
        for file in files {
            let bytes = std::fs::read(file)?;
            let count = SafeTensors::deserialize(&bytes)?.iter().filter(|(_, view)| !view.data().is_empty()).count();
            all.push((bytes, count));
        }
        Ok(all)
    })?;
    println!("{}", runs.json());
    Ok(())
}

/// Maps the file with every page brought in ahead, and copies every tensor out.
pub fn copy(file: &str, n: &str) -> Outcome<()> {
    let runs = Runs::measure(n, || (), |()| {
        let map = populated(file)?;
        let tensors: Vec<(String, Vec<u8>)> =
            SafeTensors::deserialize(&map)?.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
        Ok((map, tensors))
    })?;
    println!("{}", runs.json());
    Ok(())
}

/// Copies the first columns of a matrix out of the mapped file.
pub fn slice(file: &str, name: &str, columns: &str, n: &str) -> Outcome<()> {
    let columns: usize = columns.parse().map_err(|_| "COLUMNS is no number")?;
    let map = mapped(file)?;
    let all = SafeTensors::deserialize(&map)?;
    let view = all.tensor(name)?;
    let runs = Runs::measure(n, || (), |()| {
        let parts = view.slice((.., ..columns)).map_err(|err| format!("{err:?}"))?;
        let mut data = Vec::with_capacity(parts.remaining_byte_len());
        for part in parts {
            data.extend_from_slice(part);
        }
        Ok(data)
    })?;
    println!("{}", runs.json());
    Ok(())
}

/// What a file holds, in the form the crate's writers take.
type Content<'a> = (Vec<(String, TensorView<'a>)>, Option<HashMap<String, String>>);

fn content(bytes: &[u8]) -> Outcome<Content<'_>> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let mut tensors = SafeTensors::deserialize(bytes)?.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((tensors, header.metadata().clone()))
}

/// Puts items in an order that is always the same and as good as random: that
/// of Fisher and Yates, with the generator of Knuth's MMIX.
fn shuffle<T>(items: &mut [T]) {
    let mut state = 1u64;
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        items.swap(i, (state >> 33) as usize % (i + 1));
    }
}

/// Makes a file and its name durable, which the crate leaves to its caller.
fn sync(path: &Path) -> Outcome<()> {
    File::open(path)?.sync_all()?;
    Ok(File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?)
}

pub fn save(file: &str, out: &str, n: &str, durable: bool) -> Outcome<()> {
    let bytes = std::fs::read(file)?;
    let content = content(&bytes)?;
    let out = Path::new(out);
    let setup = || {
        // Outside the clock: what was there goes, and the disk knows of it.
        let _ = std::fs::remove_file(out);
        if let Some(parent) = out.parent() {
            let _ = File::open(parent).and_then(|dir| dir.sync_all());
        }
        content.clone()
    };
    let runs = Runs::measure(n, setup, |(tensors, metadata)| {
        serialize_to_file(tensors, metadata, out)?;
        if durable {
            sync(out)?;
        }
        Ok(())
    })?;
    println!("{}", runs.json());
    Ok(())
}

/// Gives the file other metadata: maps it, and writes it anew in its place.
pub fn edit(file: &str, n: &str) -> Outcome<()> {
    let path = Path::new(file);
    let mut turn = 0;
    let setup = || {
        turn += 1;
        turn
    };
    let runs = Runs::measure(n, setup, |turn| {
        let map = populated(path)?;
        let (tensors, metadata) = content(&map)?;
        let mut metadata = metadata.unwrap_or_default();
        metadata.insert("note".into(), turn.to_string());
        serialize_to_file(tensors, Some(metadata), path)?;
        sync(path)?;
        Ok(map)
    })?;
    println!("{}", runs.json());
    Ok(())
}

pub fn encode_header(file: &str, n: &str, order: &str) -> Outcome<()> {
    let bytes = std::fs::read(file)?;
    let mut content = content(&bytes)?;
    match order {
        "sorted" => {}
        "shuffled" => shuffle(&mut content.0),
        _ => return Err("ORDER is sorted or shuffled".into()),
    }
    let runs = Runs::measure(n, || content.clone(), |(tensors, metadata)| Ok(serialize(tensors, metadata)?))?;
    println!("{}", runs.json());
    Ok(())
}
