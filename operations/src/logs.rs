//! Logs of attempts, by lines.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use towpath_common::id::AttemptKey;
use towpath_worker::log_path;

use crate::answer::{LogLines, LogMatches};
use crate::tasks::InstanceName;
use crate::{Operations, Refusal, Result};

/// How many lines are given at once.
pub const LINES_MAX: u64 = 2000;
/// A longer line is cut, in bytes.
const LINE_MAX: usize = 4 * 1024;
const MATCHES_MAX: usize = 1000;
const CHUNK: usize = 256 * 1024;

/// Where an attempt's log is, and whether more comes.
#[derive(Debug, Clone)]
pub struct LogFile {
    pub path: PathBuf,
    pub ended: bool,
    pub attempt: u32,
}

/// Which lines, by their numbers from 0.
#[derive(Debug, Clone, Copy)]
pub enum LinesAsked {
    From(u64, u64),
    Last(u64),
}

impl Operations {
    /// Of one attempt, or of the latest.
    pub async fn log_file(&self, name: &InstanceName, attempt: Option<u32>) -> Result<LogFile> {
        let run = self.run_of(name.run).await?;
        let detail = self.latest(name).await?;
        let number = attempt.unwrap_or(detail.0);
        if number == 0 || number > detail.0 {
            let which = attempt.map_or(String::new(), |number| format!(" {number}"));
            return Err(Refusal::NotFound(format!(
                "{} of {} has no attempt{which}",
                name.task, run.run_id
            )));
        }
        let InstanceName { run: key, task, map_index } = name.clone();
        let key = AttemptKey { run: key, task, map_index, number };
        Ok(LogFile {
            path: log_path(&self.services.log_dir, &run.dag_id, &run.run_id, &key),
            ended: number < detail.0 || !detail.1,
            attempt: number,
        })
    }

    /// The number of the latest attempt, and whether it is out.
    async fn latest(&self, name: &InstanceName) -> Result<(u32, bool)> {
        let Some(record) = self.stored_instance(name).await? else { return Ok((0, false)) };
        Ok((record.instance.attempt, record.instance.state.is_out()))
    }

    pub async fn log_lines(
        &self,
        name: &InstanceName,
        attempt: Option<u32>,
        asked: LinesAsked,
    ) -> Result<LogLines> {
        // Asked before reading, so that nothing is written between the last read and the end.
        let file = self.log_file(name, attempt).await?;
        blocking(move || lines(&file, asked)).await
    }

    pub async fn log_search(
        &self,
        name: &InstanceName,
        attempt: Option<u32>,
        text: String,
    ) -> Result<LogMatches> {
        let file = self.log_file(name, attempt).await?;
        blocking(move || search(&file, &text)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Refusal::Broken(error.to_string()))?;
    done.map_err(|error| Refusal::Broken(format!("the log cannot be read: {error}")))
}

/// Nothing printed, no file.
fn open(file: &LogFile) -> std::io::Result<Option<std::fs::File>> {
    match std::fs::File::open(&file.path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where a line begins, and how many lines there are. A last line without its break is one only if no more comes.
fn measure(file: &mut std::fs::File, line: u64, ended: bool) -> std::io::Result<(u64, u64)> {
    let mut chunk = vec![0; CHUNK];
    let (mut at, mut lines, mut begin) = (0, 0, (line == 0).then_some(0));
    let mut last = b'\n';
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        let bytes = &chunk[..read];
        let breaks = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        if begin.is_none() && lines + breaks >= line {
            let mut left = line - lines;
            let place = bytes.iter().position(|byte| {
                left -= u64::from(*byte == b'\n');
                left == 0
            });
            begin = place.map(|place| at + place as u64 + 1);
        }
        lines += breaks;
        at += read as u64;
        last = bytes[read - 1];
    }
    Ok((begin.unwrap_or(at), lines + u64::from(ended && last != b'\n')))
}

fn lines(file: &LogFile, asked: LinesAsked) -> std::io::Result<LogLines> {
    let (ended, attempt) = (file.ended, file.attempt);
    let Some(mut open) = open(file)? else {
        return Ok(LogLines { first: 0, lines: Vec::new(), attempt, total: 0, ended });
    };
    let (first, count) = match asked {
        LinesAsked::From(first, count) => (first, count.min(LINES_MAX)),
        LinesAsked::Last(count) => {
            let (_, total) = measure(&mut open, 0, ended)?;
            open.rewind()?;
            (total.saturating_sub(count.min(LINES_MAX)), count.min(LINES_MAX))
        }
    };
    let (begin, total) = measure(&mut open, first, ended)?;
    open.seek(SeekFrom::Start(begin))?;
    let mut reader = BufReader::with_capacity(CHUNK, open);
    let mut lines = Vec::new();
    // What was written since it was measured belongs to the next look.
    for _ in first..total.min(first.saturating_add(count)) {
        let Some(line) = next_line(&mut reader)? else { break };
        lines.push(line.text());
    }
    Ok(LogLines { first, lines, attempt, total, ended })
}

/// A line as far as it is shown.
struct Line {
    shown: Vec<u8>,
    /// Bytes that are not.
    more: usize,
    /// In the file, its break included.
    bytes: u64,
    has_break: bool,
}

impl Line {
    fn text(&self) -> String {
        let shown = self.shown.strip_suffix(b"\r").unwrap_or(&self.shown);
        let mut text = String::from_utf8_lossy(shown).into_owned();
        if self.more > 0 {
            text.push_str(&format!(" … {} bytes more; the download has them", self.more));
        }
        text
    }
}

/// However long it is, no more of it is kept than is shown.
fn next_line(reader: &mut impl BufRead) -> std::io::Result<Option<Line>> {
    let mut line = Line { shown: Vec::new(), more: 0, bytes: 0, has_break: false };
    while !line.has_break {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        let place = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..place.unwrap_or(buffer.len())];
        let kept = part.len().min(LINE_MAX.saturating_sub(line.shown.len()));
        line.shown.extend_from_slice(&part[..kept]);
        line.more += part.len() - kept;
        line.has_break = place.is_some();
        let used = part.len() + usize::from(line.has_break);
        line.bytes += used as u64;
        reader.consume(used);
    }
    Ok((line.bytes > 0).then_some(line))
}

/// A log that is read as it grows.
#[derive(Debug, Clone, Default)]
pub struct LogTail {
    /// Where the next line begins.
    offset: u64,
    /// And its number.
    pub line: u64,
}

impl LogTail {
    /// From a line on.
    pub async fn begin(file: &LogFile, line: u64) -> Result<Self> {
        let file = file.clone();
        let found = blocking(move || match open(&file)? {
            Some(mut open) => measure(&mut open, line, false),
            None => Ok((0, 0)),
        });
        let (offset, total) = found.await?;
        Ok(Self { offset, line: line.min(total) })
    }

    /// The lines that have come; a last one without its break only if no more comes.
    pub async fn read(&mut self, file: &LogFile) -> Result<Vec<String>> {
        let (file, mut tail) = (file.clone(), self.clone());
        let (tail, lines) = blocking(move || {
            let mut lines = Vec::new();
            let Some(mut open) = open(&file)? else { return Ok((tail, lines)) };
            // It was begun anew.
            if open.metadata()?.len() < tail.offset {
                tail = Self::default();
            }
            open.seek(SeekFrom::Start(tail.offset))?;
            let mut reader = BufReader::with_capacity(CHUNK, open);
            while lines.len() < LINES_MAX as usize {
                let Some(line) = next_line(&mut reader)? else { break };
                if !line.has_break && !file.ended {
                    break;
                }
                tail.offset += line.bytes;
                tail.line += 1;
                lines.push(line.text());
            }
            Ok((tail, lines))
        })
        .await?;
        *self = tail;
        Ok(lines)
    }
}

fn search(file: &LogFile, wanted: &str) -> std::io::Result<LogMatches> {
    let mut matches = LogMatches { lines: Vec::new(), more: false };
    let wanted = wanted.to_lowercase();
    let Some(open) = open(file)? else { return Ok(matches) };
    let mut reader = BufReader::with_capacity(CHUNK, open);
    let mut number = 0;
    while let Some(line) = next_line(&mut reader)? {
        if String::from_utf8_lossy(&line.shown).to_lowercase().contains(&wanted) {
            if matches.lines.len() == MATCHES_MAX {
                matches.more = true;
                break;
            }
            matches.lines.push(number);
        }
        number += 1;
    }
    Ok(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &str, ended: bool, (first, count): (u64, u64), expected: (&[&str], u64)) {
        check_asked(content, ended, LinesAsked::From(first, count), expected);
    }

    fn check_asked(content: &str, ended: bool, asked: LinesAsked, expected: (&[&str], u64)) {
        let written = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(written.path(), content).expect("written");
        let file = LogFile { path: written.path().to_owned(), ended, attempt: 1 };
        let found = lines(&file, asked).expect("read");
        let texts: Vec<&str> = found.lines.iter().map(String::as_str).collect();
        assert_eq!((texts.as_slice(), found.total), expected);
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        check_asked("a\nb\nc\n", true, LinesAsked::Last(2), (&["b", "c"], 3));
        check_asked("a\nb\nc", false, LinesAsked::Last(1), (&["b"], 2));
        check_asked("a\n", true, LinesAsked::Last(9), (&["a"], 1));
        check_asked("", true, LinesAsked::Last(9), (&[], 0));
    }

    #[test]
    fn lines_are_found_by_number() {
        check("a\nb\nc\n", true, (0, 2), (&["a", "b"], 3));
        check("a\nb\nc\n", true, (2, 9), (&["c"], 3));
        check("a\nb\nc", true, (2, 9), (&["c"], 3));
        check("a\nb\nc", false, (1, 9), (&["b"], 2));
        check("a\nb\n", true, (7, 9), (&[], 2));
        check("", true, (0, 9), (&[], 0));
        let long: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        check(&long, true, (99_998, 9), (&["99998", "99999"], 100_000));
        let wide = "x".repeat(LINE_MAX + 5);
        let cut = format!("{} … 5 bytes more; the download has them", "x".repeat(LINE_MAX));
        check(&wide, true, (0, 1), (&[cut.as_str()], 1));
    }
}
