//! Structured logs to a file and, for people, short lines to stderr. Never a secret in them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tracing_subscriber::{
    EnvFilter, Layer, fmt, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

const ROTATE_BYTES: u64 = 8 * 1024 * 1024;
const KEPT: u32 = 3;

/// Where a log file goes and what people see meanwhile.
#[derive(Debug)]
pub struct LogOptions<'a> {
    pub file: Option<&'a Path>,
    /// Level of the lines on stderr, as `RUST_LOG` reads it; `PILOTHOUSE_LOG` overrides it.
    pub stderr: &'a str,
}

/// Starts logging for this process; a second call changes nothing.
pub fn start(options: &LogOptions<'_>) -> io::Result<()> {
    let filter = std::env::var("PILOTHOUSE_LOG").unwrap_or_else(|_| options.stderr.to_owned());
    let stderr = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .compact()
        .with_filter(EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn")));
    let file = match options.file {
        None => None,
        Some(path) => Some(
            fmt::layer()
                .json()
                .with_writer(Rotating::open(path)?)
                .with_filter(EnvFilter::new("info")),
        ),
    };
    let _already_started = tracing_subscriber::registry().with(stderr).with(file).try_init();
    Ok(())
}

/// A log file that moves to `.1`, `.2`, … when it grows past a bound.
struct Rotating {
    inner: Mutex<Inner>,
}

struct Inner {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Rotating {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { inner: Mutex::new(Inner { path: path.to_owned(), file, len }) })
    }
}

impl Inner {
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |n: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        for n in (1..KEPT).rev() {
            if numbered(n).exists() {
                fs::rename(numbered(n), numbered(n + 1))?;
            }
        }
        fs::rename(&self.path, numbered(1))?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.len = 0;
        Ok(())
    }
}

struct Guard<'a>(MutexGuard<'a, Inner>);

impl Write for Guard<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len > ROTATE_BYTES {
            self.0.rotate()?;
        }
        let written = self.0.file.write(bytes)?;
        self.0.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file.flush()
    }
}

impl<'a> MakeWriter<'a> for Rotating {
    type Writer = Guard<'a>;

    fn make_writer(&'a self) -> Guard<'a> {
        Guard(self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
