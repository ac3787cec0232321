//! `pilothouse`: puts the parts together and hands over; no logic of its own.

#[cfg(feature = "headless")]
mod pictures;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::helper_main_if_asked();
    let shell = desk::Shell {
        window: |port| {
            ui::run_window(port, ui::WindowOptions::new(ui::Clock::utc(host::clock::now)))
        },
        bench_ui: || {
            serde_json::to_value(ui::bench::run(ui::bench::BenchOptions::default()))
                .map_err(|error| error.to_string())
        },
        #[cfg(feature = "headless")]
        pictures: Some(pictures::draw),
        #[cfg(not(feature = "headless"))]
        pictures: None,
    };
    ExitCode::from(desk::run(shell) as u8)
}
