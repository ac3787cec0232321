//! `pilothouse`: puts the parts together and hands over; no logic of its own.

#[cfg(feature = "headless")]
mod pictures;

use domain::Timestamp;
use std::process::ExitCode;

fn main() -> ExitCode {
    harness::helper_main_if_asked();
    let shell = desk::Shell {
        window: |port| {
            let clock = ui::Clock::new(host::clock::now, local_offset_secs);
            ui::run_window(port, ui::WindowOptions::new(clock))
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

/// Seconds east of UTC at a time, as the system's time zone says; UTC where it says nothing.
fn local_offset_secs(at: Timestamp) -> i32 {
    let at = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or(0, |at| jiff::tz::TimeZone::system().to_offset(at).seconds())
}

#[cfg(test)]
mod tests {
    /// What the window says of the command line is what the command line takes.
    #[test]
    fn every_action_names_a_command_that_there_is() {
        for action in ui::actions::ACTIONS {
            let Some(line) = action.cli else { continue };
            let words = line.split(' ').map(|word| match word {
                "MSAT" | "SAT" => "1000",
                "URL" => "wss://relay.example.com",
                word => word,
            });
            if let Err(error) = desk::cli::grammar().try_get_matches_from(words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn a_time_out_of_any_calendar_is_in_utc() {
        assert_eq!(super::local_offset_secs(domain::Timestamp(u64::MAX)), 0);
    }
}
