//! The times of the reference, for the side-by-side benchmarks.

use crate::Outcome;
use safetensors::tensor::{serialize, serialize_to_file, TensorView};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

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
        format!("{{\"n\":{},\"min_ns\":{min},\"median_ns\":{median}}}", self.0.len())
    }
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
        let handle = File::open(file)?;
        // SAFETY: the benchmark owns the file; nothing shortens it meanwhile.
        let map = unsafe { memmap2::Mmap::map(&handle)? };
        let count = SafeTensors::deserialize(&map)?.len();
        Ok((map, count))
    })?;
    println!("{}", runs.json());
    Ok(())
}

/// Maps the file and touches every page of every tensor.
pub fn touch(file: &str, n: &str) -> Outcome<()> {
    let runs = Runs::measure(n, || (), |()| {
        let handle = File::open(file)?;
        // SAFETY: as above.
        let map = unsafe { memmap2::Mmap::map(&handle)? };
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
        let handle = File::open(file)?;
        // SAFETY: as above.
        let map = unsafe { memmap2::Mmap::map(&handle)? };
        let data = SafeTensors::deserialize(&map)?.tensor(name)?.data().to_vec();
        Ok((map, data))
    })?;
    println!("{}", runs.json());
    Ok(())
}

pub fn load(file: &str, n: &str) -> Outcome<()> {
    let runs = Runs::measure(n, || (), |()| {
        let bytes = std::fs::read(file)?;
        let tensors: Vec<(String, Vec<u8>)> = SafeTensors::deserialize(&bytes)?
            .iter()
            .map(|(name, view)| (name.to_owned(), view.data().to_vec()))
            .collect();
        Ok((bytes, tensors))
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

pub fn save(file: &str, out: &str, n: &str) -> Outcome<()> {
    let bytes = std::fs::read(file)?;
    let content = content(&bytes)?;
    let runs = Runs::measure(n, || content.clone(), |(tensors, metadata)| {
        Ok(serialize_to_file(tensors, metadata, Path::new(out))?)
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
