//! The window under a virtual screen: online by keyboard, a job sold and paid, closed by its key.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use scenarios::{
    desk::Desk,
    programs::{desk_command, finish, tool, until},
    screen::Screen,
};
use std::{path::Path, process::Stdio, time::Duration};

const WITHIN: Duration = Duration::from_secs(30);

/// The screen as xdotool and ImageMagick see it.
struct Seen(Screen);

impl Seen {
    fn tool(&self, name: &str, args: &[&str]) -> anyhow::Result<String> {
        let mut command = tool(name)?;
        command.args(args).env("DISPLAY", &self.0.display);
        Ok(finish(&mut command, WITHIN)?.ok()?.stdout)
    }

    fn window(&self) -> String {
        let mut found = String::new();
        until("the window opens", WITHIN, || {
            let search = ["search", "--onlyvisible", "--name", "Pilothouse"];
            found = self.tool("xdotool", &search)?.lines().next().unwrap_or_default().to_owned();
            Ok(!found.is_empty())
        })
        .unwrap();
        found
    }

    /// Starts a desk with its window.
    fn open(&self, desk: &mut Desk) -> String {
        let mut command = desk_command().unwrap();
        command.args(["--json", "--home"]).arg(&desk.home).arg("up").stdin(Stdio::null());
        command.env("DISPLAY", &self.0.display).env_remove("WAYLAND_DISPLAY");
        desk.start_as(&mut command).unwrap();
        self.window()
    }

    fn key(&self, window: &str, key: &str) {
        self.tool("xdotool", &["windowfocus", "--sync", window]).unwrap();
        self.tool("xdotool", &["key", "--clearmodifiers", key]).unwrap();
    }

    /// How many colours the window shows.
    fn colours(&self, window: &str, file: &Path) -> usize {
        let file = file.to_str().unwrap();
        self.tool("import", &["-window", window, file]).unwrap();
        self.tool("identify", &["-format", "%k", file]).unwrap().trim().parse().unwrap()
    }
}

#[test]
fn the_window_goes_online_sells_and_closes() {
    let screen = Seen(Screen::start("1280x900").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(dir.path().join("home"));
    let window = screen.open(&mut desk);
    desk.wait("wallet=ready", 60).unwrap();
    desk.wait("balance>=1", 60).unwrap();
    assert_eq!(desk.status().unwrap()["provider"]["state"], "offline");

    screen.key(&window, "o");
    desk.wait("provider=online", 30).unwrap();

    let mut buyer = Desk::joining(dir.path().join("buyer"), &desk);
    buyer.start(&[]).unwrap();
    buyer.ready(false).unwrap();
    let before = desk.balance_msat().unwrap();
    let id = buyer.buy_text(&desk.pubkey().unwrap(), "<p>Seen in the window</p>", 60).unwrap();
    for side in [&buyer, &desk] {
        side.wait(&format!("job={id}:succeeded"), 60).unwrap();
    }
    let sold = desk.job(&id).unwrap();
    assert_eq!(sold["payment_state"], "paid");
    let earned = sold["amount_msat"].as_u64().unwrap();
    assert_eq!(desk.balance_msat().unwrap(), before + earned);
    let shot = dir.path().join("window.png");
    until("the window is drawn", WITHIN, || Ok(screen.colours(&window, &shot) > 40)).unwrap();
    if let Some(kept) = std::env::var_os("PILOTHOUSE_KEEP_SHOT") {
        std::fs::copy(&shot, kept).unwrap();
    }

    assert!(buyer.stop().unwrap().success());
    screen.key(&window, "ctrl+q");
    let ended = desk.process().unwrap().wait(WITHIN).unwrap();
    assert_eq!(ended.expect("the window closes by its key").code(), Some(0));
    desk.at_rest().unwrap();
    desk.verify_log().unwrap();
    assert_eq!(desk.panics().unwrap(), Vec::<String>::new());
}

#[test]
fn the_window_closes_when_the_desk_is_asked_to_stop() {
    let screen = Seen(Screen::start("1280x900").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(dir.path().join("home"));
    screen.open(&mut desk);
    desk.wait("wallet=ready", 60).unwrap();
    assert!(desk.stop().unwrap().success());

    screen.open(&mut desk);
    let pid = desk.process().unwrap().child.id();
    screen.tool("kill", &["-TERM", &pid.to_string()]).unwrap();
    let ended = desk.process().unwrap().wait(WITHIN).unwrap();
    assert_eq!(ended.expect("the window closes on a signal").code(), Some(0));
    desk.verify_log().unwrap();
    assert_eq!(desk.panics().unwrap(), Vec::<String>::new());
}
