//! Figures as Markdown tables: minimum, median and maximum, beside what they are measured against.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::house::House;
use crate::process;

/// Jobs per second at 1, 16 and 64 in flight of a sketch that sold the same job over the same kind
/// of relay without a journal, a wallet or a sandbox, on a quiet machine of two cores.
const SKETCH: [(u64, f64); 3] = [(1, 850.0), (16, 1_860.0), (64, 1_970.0)];

/// The start's rows: the measure, its name, and the most that it may be (of the peer's, or alone).
const START: [(&str, &str, &str); 7] = [
    ("cpu_ms", "processor time to first content, ms", "0.8 of the peer's"),
    ("pss_mib", "proportional memory then, MiB", "0.75 of the peer's"),
    ("wall_ms", "time to first content, ms", ""),
    ("idle_cpu_ms", "processor time over the idle window, ms", "5 ms"),
    ("tree_cpu_ms", "processor time to first content, with wallet and network, ms", ""),
    ("tree_pss_mib", "proportional memory then, with wallet and network, MiB", ""),
    ("idle_tree_cpu_ms", "processor time over the idle window, with wallet and network, ms", ""),
];

/// What each bench printed, in order.
pub struct Measured {
    pub free: Vec<Value>,
    pub paid: Vec<Value>,
    pub log: Vec<Value>,
    pub ui: Vec<Value>,
    pub start: Value,
}

impl Measured {
    pub fn jobs(&self) -> anyhow::Result<String> {
        let mut table = String::from(
            "| jobs | in flight | jobs/s | of the sketch | p50 ms | p99 ms | lost |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for (name, reports) in [("unpaid", &self.free), ("paid", &self.paid)] {
            for at in 0..count(reports, "/cells")? {
                let of = |field: &str| spread(reports, &format!("/cells/{at}/{field}"));
                let in_flight = of("in_flight")?.median;
                let rate = of("jobs_per_s")?;
                let sketch =
                    SKETCH.iter().find(|(n, _)| *n as f64 == in_flight && name == "unpaid");
                let share = sketch.map(|(_, sketch)| format!("{:.2}", rate.median / sketch));
                writeln!(
                    table,
                    "| {name} | {in_flight} | {} | {} | {} | {} | {} |",
                    rate.shown(0),
                    share.unwrap_or_default(),
                    of("p50_ms")?.shown(2),
                    of("p99_ms")?.shown(2),
                    of("lost")?.max,
                )?;
            }
        }
        Ok(table)
    }

    pub fn log(&self) -> anyhow::Result<String> {
        let mut table = String::from(
            "| events per transaction | raw disk, events/s | bare SQLite, events/s | log, events/s | log ÷ bare SQLite | bare SQLite ÷ raw disk |\n\
             |---|---|---|---|---|---|\n",
        );
        for at in 0..count(&self.log, "/append")? {
            let of = |field: &str| spread(&self.log, &format!("/append/{at}/{field}"));
            writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} |",
                of("group")?.median,
                of("raw_events_per_s")?.shown(0),
                of("bare_sqlite_events_per_s")?.shown(0),
                of("store_events_per_s")?.shown(0),
                of("store_over_bare_sqlite")?.shown(2),
                of("bare_sqlite_over_raw")?.shown(2),
            )?;
        }
        let replay = spread(&self.log, "/replay_events_per_s")?.shown(0);
        write!(table, "\nReplay with hashes verified: {replay} events/s on one core.")?;
        Ok(table)
    }

    pub fn frames(&self) -> anyhow::Result<String> {
        let of = |field: &str| spread(&self.ui, &format!("/{field}"));
        Ok(format!(
            "| rows | frames | p50 ms | p90 ms | p99 ms | max ms |\n|---|---|---|---|---|---|\n\
             | {} | {} | {} | {} | {} | {} |",
            of("options/rows")?.median,
            of("options/frames")?.median,
            of("p50_ms")?.shown(2),
            of("p90_ms")?.shown(2),
            of("p99_ms")?.shown(2),
            of("max_ms")?.shown(2),
        ))
    }

    pub fn start(&self) -> anyhow::Result<String> {
        let report = &self.start;
        let peer = report["peer"]["version"].as_str();
        let mut table = String::from("| | desk, used home | desk, fresh home |");
        if let Some(peer) = peer {
            write!(table, " {peer} | used ÷ peer | fresh ÷ peer |")?;
        }
        table.push_str(" at most |\n|---|---|---|");
        table.push_str(if peer.is_some() { "---|---|---|---|\n" } else { "---|\n" });
        for (measure, name, most) in START {
            let of = |side: &str| -> anyhow::Result<String> {
                let number = |which: &str| number(report, &format!("/{side}/{measure}/{which}"));
                let (min, median, max) = (number("min")?, number("median")?, number("max")?);
                Ok(Spread { min, median, max }.shown(1))
            };
            write!(table, "| {name} | {} | {} |", of("used_home")?, of("fresh_home")?)?;
            if peer.is_some() {
                // There is none where the peer used nothing at all.
                let ratio = |home: &str| {
                    let ratio = number(report, &format!("/ratio/{home}/{measure}"));
                    ratio.map_or_else(|_| "–".to_owned(), |ratio| format!("{ratio:.2}"))
                };
                let (used, fresh) = (ratio("used_home"), ratio("fresh_home"));
                write!(table, " {} | {used} | {fresh} |", of("peer")?)?;
            }
            writeln!(table, " {most} |")?;
        }
        let (rounds, idle) = (number(report, "/rounds")?, number(report, "/idle_s")?);
        write!(table, "\n{rounds} rounds in turn; the idle window is {idle} s.")?;
        Ok(table)
    }
}

/// The facts that the figures belong to.
pub fn machine(house: &House, note: Option<&str>) -> anyhow::Result<String> {
    let said = |name: &str, arguments: &[&str]| -> anyhow::Result<String> {
        let said = process::output(process::program(name, &house.root).args(arguments))?;
        Ok(said.trim().to_owned())
    };
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        let value = line.unwrap_or_default();
        value.trim_matches([' ', '\t', ':', '=', '"']).to_owned()
    };
    let commit = said("git", &["describe", "--always", "--dirty"])?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
    let mut facts = vec![
        ("command", "`cargo xtask bench --peer RERUN --record`".to_owned()),
        ("date", said("date", &["-u", "+%Y-%m-%d"])?),
        ("commit", commit),
        ("processor", field("/proc/cpuinfo", "model name")),
        ("cores", std::thread::available_parallelism()?.to_string()),
        ("memory", field("/proc/meminfo", "MemTotal")),
        (
            "system",
            format!("{}, {}", field("/etc/os-release", "PRETTY_NAME"), said("uname", &["-sr"])?),
        ),
        ("load before", load),
    ];
    if let Some(note) = note {
        facts.push(("note", note.to_owned()));
    }
    let mut table = String::from("| | |\n|---|---|\n");
    for (name, fact) in facts {
        writeln!(table, "| {name} | {} |", fact.replace('|', "\\|"))?;
    }
    Ok(table)
}

#[derive(Clone, Copy, Debug)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    /// `median (min–max)`, or the median alone where all are the same.
    fn shown(self, digits: usize) -> String {
        let text = |value: f64| thousands(&format!("{value:.digits$}"));
        let (min, median, max) = (text(self.min), text(self.median), text(self.max));
        if min == max { median } else { format!("{median} ({min}–{max})") }
    }
}

fn thousands(number: &str) -> String {
    let (whole, part) = number.split_once('.').map_or((number, None), |(a, b)| (a, Some(b)));
    let mut shown = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    if let Some(part) = part {
        shown.push('.');
        shown.push_str(part);
    }
    shown
}

fn number(report: &Value, pointer: &str) -> anyhow::Result<f64> {
    report.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("no {pointer}"))
}

/// The same figure of several reports.
fn spread(reports: &[Value], pointer: &str) -> anyhow::Result<Spread> {
    let mut values: Vec<f64> =
        reports.iter().map(|report| number(report, pointer)).collect::<Result<_, _>>()?;
    values.sort_by(f64::total_cmp);
    let [min, .., max] = values[..] else {
        let [only] = values[..] else { bail!("nothing was measured") };
        return Ok(Spread { min: only, median: only, max: only });
    };
    Ok(Spread { min, median: values[values.len() / 2], max })
}

fn count(reports: &[Value], pointer: &str) -> anyhow::Result<usize> {
    let list = reports.first().and_then(|report| report.pointer(pointer)?.as_array());
    list.map(Vec::len).with_context(|| format!("no {pointer}"))
}

#[cfg(test)]
mod tests;
