//! The memory of a process, as root sees it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

const PAGE: usize = 4096;

/// The pages that are read at once.
const PAGES: usize = 256;

/// Reads all memory that a process can write to, and calls `with` for each run of pages that are not empty, with the
/// name of the mapping. A run has the first `overlap` bytes of what follows it, so that nothing is missed between two.
pub fn each_chunk(process: u32, overlap: usize, mut with: impl FnMut(&[u8], &str)) {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("its maps");
    let memory = File::open(format!("/proc/{process}/mem")).expect("its memory, as root");
    let mut chunk = vec![0; PAGES * PAGE + overlap];
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, name) = line.split_once(' ').expect("a range");
        let name = name.split_whitespace().nth(4).unwrap_or("anonymous");
        let (from, to) = range.split_once('-').expect("a range");
        let [mut at, to] = [from, to].map(|number| u64::from_str_radix(number, 16).expect("hex"));
        while at < to {
            // What was unmapped meanwhile is not there any more.
            let length = memory.read_at(&mut chunk, at).unwrap_or(0);
            let pages = length.min(PAGES * PAGE).div_ceil(PAGE);
            let is_empty = |page: usize| {
                let end = ((page + 1) * PAGE).min(length);
                chunk[page * PAGE..end] == [0; PAGE][..end - page * PAGE]
            };
            let mut page = 0;
            while page < pages {
                let last = (page..pages).find(|page| is_empty(*page)).unwrap_or(pages);
                if last > page {
                    let end = (last * PAGE + overlap).min(length);
                    with(&chunk[page * PAGE..end], name);
                }
                page = last.max(page + 1);
            }
            at += (PAGES * PAGE) as u64;
        }
    }
}
