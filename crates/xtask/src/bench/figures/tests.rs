//! Tables from what the benches print.

use serde_json::{Value, json};

use super::{Measured, Spread};

fn jobs(rate: f64) -> Value {
    json!({ "cells": [
        { "in_flight": 16, "jobs_per_s": rate, "p50_ms": 7.5, "p99_ms": 13.0, "lost": 0 },
    ] })
}

fn side(factor: f64) -> Value {
    let names = super::START.iter().map(|(name, ..)| *name);
    let cell = json!({ "min": factor, "median": 2.0 * factor, "max": 3.0 * factor });
    Value::Object(names.map(|name| (name.to_owned(), cell.clone())).collect())
}

fn ratio(value: f64) -> Value {
    let names = super::START.iter().map(|(name, ..)| *name);
    Value::Object(names.map(|name| (name.to_owned(), json!(value))).collect())
}

fn measured() -> Measured {
    let log = |rate: f64| {
        json!({
            "append": [{
                "group": 256, "raw_events_per_s": 1_000_000.0, "bare_sqlite_events_per_s": 80_000.0,
                "store_events_per_s": rate, "store_over_bare_sqlite": 0.9,
                "bare_sqlite_over_raw": 0.08,
            }],
            "replay_events_per_s": 310_000.0,
        })
    };
    Measured {
        free: vec![jobs(1_300.0), jobs(1_400.0), jobs(1_395.0)],
        paid: vec![jobs(20.0)],
        log: vec![log(70_000.0), log(72_000.0), log(71_000.0)],
        ui: vec![json!({
            "options": { "rows": 100_000, "frames": 600 },
            "p50_ms": 1.0, "p90_ms": 1.5, "p99_ms": 2.5, "max_ms": 3.0,
        })],
        start: json!({
            "rounds": 5, "idle_s": 10, "used_home": side(100.0), "fresh_home": side(90.0),
        }),
    }
}

#[test]
fn jobs_stand_beside_the_sketch_where_it_did_the_same() {
    let table = measured().jobs().unwrap();
    assert!(
        table.contains("| unpaid | 16 | 1,395 (1,300–1,400) | 0.75 | 7.50 | 13.00 | 0 |"),
        "{table}"
    );
    assert!(table.contains("| paid | 16 | 20 |  | 7.50 |"), "{table}");
}

#[test]
fn the_log_says_its_ratios() {
    let table = measured().log().unwrap();
    let row = "| 256 | 1,000,000 | 80,000 | 71,000 (70,000–72,000) | 0.90 | 0.08 |";
    assert!(table.contains(row), "{table}");
    assert!(table.contains("310,000 events/s"), "{table}");
}

#[test]
fn a_start_without_a_peer_claims_no_ratio() {
    let mut measured = measured();
    let alone = measured.start().unwrap();
    assert!(!alone.contains('÷'), "{alone}");
    measured.start["peer"] = side(200.0);
    measured.start["peer"]["version"] = json!("viewer 1");
    measured.start["ratio"] = json!({ "used_home": ratio(0.5), "fresh_home": ratio(0.45) });
    let beside = measured.start().unwrap();
    assert!(beside.contains("| 400.0 (200.0–600.0) | 0.50 | 0.45 | 5 ms |"), "{beside}");
    measured.start["ratio"]["used_home"]["idle_cpu_ms"] = Value::Null;
    let at_rest = measured.start().unwrap();
    assert!(at_rest.contains("| 400.0 (200.0–600.0) | – | 0.45 | 5 ms |"), "{at_rest}");
    let columns = |line: &str| line.matches('|').count();
    for table in [alone, beside] {
        let rows: Vec<_> = table.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.iter().all(|row| columns(row) == columns(rows[0])), "{table}");
    }
}

#[test]
fn a_report_without_its_figures_is_an_error() {
    let mut measured = measured();
    measured.ui = vec![json!({})];
    assert!(measured.frames().unwrap_err().to_string().contains("/options/rows"));
    measured.log.clear();
    assert!(measured.log().is_err());
}

#[test]
fn numbers_are_grouped() {
    let shown = |value: f64, digits| Spread { min: value, median: value, max: value }.shown(digits);
    assert_eq!(shown(999.0, 0), "999");
    assert_eq!(shown(1_234_567.89, 1), "1,234,567.9");
    assert_eq!(shown(1_000.0, 2), "1,000.00");
}
