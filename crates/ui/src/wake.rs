//! Waking the window when the desk has something new: at most thirty times a second, else never.

use egui::Context;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Joins the changes of other threads into few repaints.
#[derive(Clone)]
pub struct Wake {
    ctx: Context,
    every: Duration,
    asked: Arc<AtomicBool>,
    drawn_at: Arc<Mutex<Option<Instant>>>,
}

impl Wake {
    pub fn new(ctx: Context, every: Duration) -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        Self { ctx, every, asked, drawn_at: Arc::default() }
    }

    /// Called from any thread: asks for a frame unless one is asked for already.
    pub fn call(&self) {
        if !self.asked.swap(true, Ordering::AcqRel) {
            let drawn_at = *self.drawn_at.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let rest =
                drawn_at.map_or(Duration::ZERO, |at| self.every.saturating_sub(at.elapsed()));
            self.ctx.request_repaint_after(rest);
        }
    }

    /// Called at the start of each frame: what comes from now on needs another one.
    pub fn frame(&self) {
        self.asked.store(false, Ordering::Release);
        *self.drawn_at.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
            Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_changes_is_one_repaint() {
        let ctx = Context::default();
        let wake = Wake::new(ctx.clone(), Duration::from_millis(34));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        ctx.set_request_repaint_callback(move |info| heard.lock().unwrap().push(info.delay));
        wake.frame();
        for _ in 0..1_000 {
            wake.call();
        }
        let delays = asked.lock().unwrap().clone();
        assert_eq!(delays.len(), 1, "{delays:?}");
        assert!(delays[0] <= Duration::from_millis(34));
        let mut output = ctx.run_ui(egui::RawInput::default(), |_| wake.frame());
        output.textures_delta.clear();
        wake.call();
        assert_eq!(asked.lock().unwrap().len(), 2);
    }
}
