//! Passphrases on their way in: the first line of a descriptor or a file, or typed unseen. Never in
//! an error, and no buffer keeps a copy.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};
use zeroize::Zeroizing;

/// Longer ones are none.
pub const LONGEST_BYTES: usize = 1_024;

/// The first line of a descriptor, and no byte more: what follows is somebody else's.
///
/// # Errors
///
/// There is no such descriptor, or no such line in it.
pub fn of_descriptor(fd: u32) -> io::Result<Zeroizing<String>> {
    line(open_descriptor(fd)?)
}

/// The first two lines of a descriptor: an old passphrase and a new one.
///
/// # Errors
///
/// As [`of_descriptor`].
pub fn two_of_descriptor(fd: u32) -> io::Result<[Zeroizing<String>; 2]> {
    let mut from = open_descriptor(fd)?;
    Ok([line(&mut from)?, line(&mut from)?])
}

#[cfg(unix)]
fn open_descriptor(fd: u32) -> io::Result<File> {
    use std::os::fd::AsFd;
    if fd == 0 {
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    File::open(format!("/dev/fd/{fd}"))
}

#[cfg(not(unix))]
fn open_descriptor(_: u32) -> io::Result<File> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "descriptors are not passed here"))
}

/// The first line of a file.
///
/// # Errors
///
/// It cannot be read, or holds no such line.
pub fn of_file(path: &Path) -> io::Result<Zeroizing<String>> {
    line(File::open(path)?)
}

/// Asks at the terminal, whatever standard input is, and shows nothing of what is typed.
///
/// # Errors
///
/// There is no terminal, or nothing was typed.
#[cfg(unix)]
pub fn typed(prompt: &str) -> io::Result<Zeroizing<String>> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
    write!(terminal, "{prompt}: ")?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let text = line(&terminal);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    text
}

/// Asks at the terminal: not offered here.
///
/// # Errors
///
/// Always.
#[cfg(not(unix))]
pub fn typed(_: &str) -> io::Result<Zeroizing<String>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "passphrases are not typed here"))
}

/// Byte by byte, so that nothing after the line is taken.
fn line(mut from: impl Read) -> io::Result<Zeroizing<String>> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_BYTES));
    let mut byte = Zeroizing::new([0]);
    while from.read(byte.as_mut())? == 1 && byte[0] != b'\n' {
        if bytes.len() == LONGEST_BYTES {
            return refuse("its first line is too long to be a passphrase");
        }
        bytes.push(byte[0]);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    match std::str::from_utf8(&bytes) {
        Ok("") => refuse("its first line is empty"),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => refuse("its first line is no text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_ends_where_it_ends_and_nothing_after_it_is_taken() {
        let mut from = io::Cursor::new(b"correct horse\r\nrest".to_vec());
        assert_eq!(line(&mut from).unwrap().as_str(), "correct horse");
        let mut rest = String::new();
        from.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "rest");
        assert_eq!(line(&b"no end"[..]).unwrap().as_str(), "no end");
        for bad in [&b""[..], b"\n", &[0xFF, b'\n'], &[b'x'; LONGEST_BYTES + 1]] {
            assert!(line(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line_or_refused(bytes: Vec<u8>) {
            if let Ok(text) = line(&bytes[..]) {
                prop_assert!(!text.is_empty() && text.len() <= LONGEST_BYTES);
            }
        }
    }
}
