//! A sample of the kill points; `cargo run -p scenarios --bin crash -- --full` runs the matrix.

use scenarios::crash::{Matrix, Moment, Reached, Who};

#[test]
fn whoever_is_killed_each_job_ends_once_and_is_paid_at_most_once() {
    let dir = tempfile::tempdir().unwrap();
    let homes = dir.path().to_owned();
    let mut matrix = Matrix::new(&homes);
    for (who, moment) in [
        (Who::Provider, Moment::Step(26)),
        (Who::Buyer, Moment::Step(20)),
        (Who::ProviderWallet, Moment::Step(10)),
        (Who::BuyerWallet, Moment::Step(9)),
        (Who::Practice, Moment::AfterMs(120)),
        (Who::All, Moment::AfterMs(200)),
    ] {
        let line = matrix.run(who, moment);
        eprintln!("{line}");
        if line.outcome.is_err() {
            // What the processes wrote tells why.
            panic!("{line}; the homes are kept in {}", dir.keep().display());
        }
    }
    matrix.finish().unwrap();
    let during = |line: &&scenarios::crash::Line| matches!(line.outcome, Ok(Reached::DuringTheJob));
    let hits = matrix.lines.iter().filter(during).count();
    assert!(hits >= 4, "only {hits} points hit a running job: choose other steps");
}
