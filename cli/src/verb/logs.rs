//! Reading task logs from their files.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How much of a log's end is read to find its last lines.
const TAIL_BYTES: u64 = 64 * 1024;

/// The last lines; none if there is no log.
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let Ok(mut file) = std::fs::File::open(path) else { return Vec::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .and_then(|_| file.read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

/// A log that is read as it grows.
pub struct Tail<'a> {
    path: &'a Path,
    offset: u64,
}

impl<'a> Tail<'a> {
    pub fn new(path: &'a Path) -> Self {
        Self { path, offset: 0 }
    }

    /// Copies what is new. A log that was begun anew is copied from its beginning.
    pub fn copy_new(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        let mut file = match std::fs::File::open(self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        self.offset += std::io::copy(&mut file, out)?;
        out.flush()
    }
}
