//! A virtual screen: what its windows show, asked for without a program per question.

use anyhow::{Context, bail};
use std::{collections::HashSet, io::Read, process::Stdio};
use x11rb::{
    connection::Connection,
    protocol::xproto::{
        ClientMessageEvent, ConnectionExt, EventMask, ImageFormat, MapState, Window,
    },
    rust_connection::RustConnection,
};

use crate::programs::{Running, tool};

/// Smaller windows are helpers of a toolkit.
const SMALLEST: u16 = 300;

/// An X server without a display, on a number that it chose itself.
pub struct Screen {
    pub display: String,
    server: RustConnection,
    root: Window,
    _running: Running,
}

impl Screen {
    /// Starts it with so many pixels, `WIDTHxHEIGHT`.
    ///
    /// # Errors
    ///
    /// `Xvfb` is missing or found no free display.
    pub fn start(pixels: &str) -> anyhow::Result<Self> {
        let mut command = tool("Xvfb")?;
        let screen = format!("{pixels}x24");
        command.args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Running::spawn(&mut command)?;
        let mut pipe = running.child.stdout.take().context("no output of Xvfb")?;
        let (mut number, mut byte) = (String::new(), [0]);
        while pipe.read(&mut byte)? == 1 && byte[0] != b'\n' {
            number.push(char::from(byte[0]));
        }
        if number.is_empty() {
            bail!("Xvfb found no free display");
        }
        let display = format!(":{number}");
        let (server, at) = RustConnection::connect(Some(&display))?;
        let root = server.setup().roots.get(at).context("Xvfb has no screen")?.root;
        Ok(Self { display, server, root, _running: running })
    }

    /// The visible windows of programs.
    ///
    /// # Errors
    ///
    /// The server is gone.
    pub fn windows(&self) -> anyhow::Result<Vec<Window>> {
        let children = self.server.query_tree(self.root)?.reply()?.children;
        Ok(children.into_iter().filter(|window| self.is_shown(*window).unwrap_or(false)).collect())
    }

    fn is_shown(&self, window: Window) -> anyhow::Result<bool> {
        let attributes = self.server.get_window_attributes(window)?.reply()?;
        let size = self.server.get_geometry(window)?.reply()?;
        let large = size.width >= SMALLEST && size.height >= SMALLEST;
        Ok(large && attributes.map_state == MapState::VIEWABLE)
    }

    /// How many colours the window's pixels have; counting ends past `enough`.
    ///
    /// # Errors
    ///
    /// The window is gone or partly off the screen.
    pub fn colours(&self, window: Window, enough: usize) -> anyhow::Result<usize> {
        let size = self.server.get_geometry(window)?.reply()?;
        let (width, height) = (size.width, size.height);
        let asked = self.server.get_image(
            ImageFormat::Z_PIXMAP,
            window,
            0,
            0,
            width,
            height,
            // Without the byte that an opaque window leaves undefined.
            0x00ff_ffff,
        );
        let image = asked?.reply()?;
        let mut seen = HashSet::new();
        let mut last = None;
        for pixel in image.data.chunks_exact(4) {
            if last == Some(pixel) {
                continue;
            }
            last = Some(pixel);
            seen.insert(pixel);
            if seen.len() > enough {
                break;
            }
        }
        Ok(seen.len())
    }

    /// Asks a window to close, as its title bar's button would.
    ///
    /// # Errors
    ///
    /// The server is gone.
    pub fn close(&self, window: Window) -> anyhow::Result<()> {
        let atom = |name: &str| -> anyhow::Result<u32> {
            Ok(self.server.intern_atom(false, name.as_bytes())?.reply()?.atom)
        };
        let delete = [atom("WM_DELETE_WINDOW")?, x11rb::CURRENT_TIME, 0, 0, 0];
        let event = ClientMessageEvent::new(32, window, atom("WM_PROTOCOLS")?, delete);
        self.server.send_event(false, window, EventMask::NO_EVENT, event)?.check()?;
        Ok(())
    }
}
