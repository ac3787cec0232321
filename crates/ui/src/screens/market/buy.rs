//! Buying a job: a form, what it may cost at most, and the jobs bought so far.

use domain::{Msat, Sha256Hash};
use egui::{Id, Ui};
use engine::{
    Command,
    command::{JobDraft, JobInput},
};

use crate::{
    actions::Subject,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{npub, words},
    scene::{Act, KeyMaker, Scene},
    state::{BuyForm, State},
    widgets::{
        Btn, Field, button, label,
        list::{Cell, Column, List},
        notice, panel,
    },
};

/// A kind of job that the form can ask for, and this machine can offer.
pub struct Kind {
    pub kind: u16,
    pub title: &'static str,
    /// What an offer of it costs until the operator says otherwise.
    pub price: Msat,
    pub input: &'static str,
    pub hint: &'static str,
    pub help: &'static str,
}

/// The kinds that run with no model.
pub const KINDS: [Kind; 3] = [
    Kind {
        kind: 5930,
        title: "Run a command",
        price: Msat::from_sat(2),
        input: "Command",
        hint: "uname -a",
        help: "For a shell, in a sandbox without network. The result has output and exit code.",
    },
    Kind {
        kind: REPO_INDEX,
        title: "Index a repository",
        price: Msat::from_sat(3),
        input: "Snapshot: its SHA-256 and size in bytes",
        hint: "e3b0c442…7852b855 10240",
        help: "pilothouse job submit --kind 5931 --path FOLDER packs a folder and sends it.",
    },
    Kind {
        kind: 5000,
        title: "Extract text",
        price: Msat::from_sat(1),
        input: "Document",
        hint: "<h1>Title</h1><p>Text</p>",
        help: "Pasted text; set media_type=text/html or text/markdown below where it is that.",
    },
];

const REPO_INDEX: u16 = 5931;
/// What a packed snapshot is (gzip-compressed tar).
const SNAPSHOT_TYPE: &str = "application/gzip";

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    egui::ScrollArea::vertical().id_salt("buy").auto_shrink([false, false]).show(ui, |ui| {
        let wide = ui.available_width() > look.size.form * 1.7;
        if wide {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                let rest = ui.available_width() - look.size.form - look.space.l;
                column(ui, look.size.form, |ui| form(ui, scene, state));
                ui.add_space(look.space.l);
                column(ui, rest, |ui| bought(ui, scene, state));
            });
        } else {
            form(ui, scene, state);
            ui.add_space(look.space.l);
            bought(ui, scene, state);
        }
    });
}

fn column(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui)) {
    ui.vertical(|ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.x = look(ui.ctx()).space.s;
        add(ui);
    });
}

/// What the form says, checked; the first fault of each field beside it.
#[derive(Debug, Default)]
pub struct Faults {
    pub input: Option<String>,
    pub params: Option<String>,
    pub bid: Option<String>,
    pub max_fee: Option<String>,
    pub provider: Option<String>,
    pub timeout: Option<String>,
}

/// The longest a job may take: a day.
const MAX_TIMEOUT_SECS: u32 = 86_400;

/// Reads the form into a draft; `Err` says what is wrong with each field.
pub fn draft(form: &mut BuyForm, keys: &mut KeyMaker) -> Result<JobDraft, Box<Faults>> {
    let mut faults = Faults::default();
    let bid = words::parse_sat(&form.bid).and_then(|bid| match bid {
        Msat::ZERO => Err("Offer at least something.".into()),
        bid => Ok(bid),
    });
    let max_fee = words::parse_sat(&form.max_fee);
    let text = form.input.trim();
    let params = params(&form.params);
    let provider = match form.provider.trim() {
        "" => Ok(None),
        text => npub::parse(text).map(Some),
    };
    let timeout = form.timeout.trim().parse::<u32>().ok();
    let timeout = timeout.filter(|secs| (10..=MAX_TIMEOUT_SECS).contains(secs));
    faults.bid = bid.as_ref().err().cloned();
    faults.max_fee = max_fee.as_ref().err().cloned();
    faults.params = params.as_ref().err().cloned();
    faults.provider = provider.as_ref().err().cloned();
    if timeout.is_none() {
        faults.timeout = Some("Between 10 and 86,400 seconds.".into());
    }
    let kind = KINDS.get(form.kind).unwrap_or(&KINDS[0]).kind;
    let input = input(kind, text);
    faults.input = input.as_ref().err().cloned();
    if form.key.is_none() {
        form.key = keys.command();
    }
    match (input, bid, max_fee, params, provider, timeout.zip(form.key.clone())) {
        (
            Ok(input),
            Ok(bid_msat),
            Ok(max_fee_msat),
            Ok(params),
            Ok(provider),
            Some((timeout_secs, key)),
        ) => {
            let inputs = vec![input];
            Ok(JobDraft {
                key,
                kind,
                inputs,
                params,
                bid_msat,
                max_fee_msat,
                provider,
                timeout_secs,
            })
        }
        _ => Err(Box::new(faults)),
    }
}

fn input(kind: u16, text: &str) -> Result<JobInput, String> {
    if text.is_empty() {
        return Err("Say what is to be done.".into());
    }
    if kind == REPO_INDEX {
        return snapshot(text).ok_or_else(|| {
            "Write the snapshot's 64 hexadecimal digits, a space, and its size in bytes.".into()
        });
    }
    let address = ["https://", "http://"].iter().any(|start| text.starts_with(start));
    if address && !text.contains(char::is_whitespace) {
        return Ok(JobInput::Url { url: text.to_owned() });
    }
    Ok(JobInput::Text { text: text.to_owned() })
}

/// `HASH BYTES` of a packed folder.
fn snapshot(text: &str) -> Option<JobInput> {
    let (hash, len) = text.split_once(char::is_whitespace)?;
    let sha256: Sha256Hash = hash.to_lowercase().parse().ok()?;
    let len = len.trim().replace([',', '_'], "").parse().ok().filter(|len| *len > 0)?;
    Some(JobInput::Blob { sha256, len, media_type: SNAPSHOT_TYPE.into() })
}

/// `name=value`, one per line.
fn params(text: &str) -> Result<Vec<(String, String)>, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(format!(
                "Write each line as name=value: {:?} is not.",
                words::middle(line, 20, 4)
            )),
        })
        .collect()
}

fn form(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let purpose = Purpose::Buy;
    panel::card(ui, |ui| {
        label::title(ui, "Buy a job");
        let form = &mut state.market.buy;
        let all: Vec<(usize, String)> =
            KINDS.iter().enumerate().map(|(index, kind)| (index, kind.title.into())).collect();
        if let Some(kind) = button::segments(ui, "Kind", form.kind, &all) {
            form.kind = kind;
            form.key = None;
        }
        let checked = draft(form, scene.keys);
        let faults = match &checked {
            Err(faults) if form.tried => faults,
            _ => &Faults::default(),
        };
        let changed = fields(ui, form, faults);
        if changed {
            form.key = None;
        }
        let checked = draft(form, scene.keys);
        let sum = most(form);
        ui.add_space(look.space.xs);
        panel::rule(ui);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = look.space.xs;
            label::muted(ui, "At most");
            label::strong(
                ui,
                sum.map_or_else(|| words::UNKNOWN.into(), |(bid, _)| bid.to_string()),
            );
            if let Some((_, fee)) = sum {
                label::muted(ui, format!("and {fee} in fees"));
            }
        });
        let busy = scene.courier.busy(&purpose).is_some();
        let words = sum.map_or("Buy job".into(), |(bid, _)| format!("Buy job for at most {bid}"));
        let submit = ui.add(Btn::new(words).primary().full_width().busy(busy).name("Submit job"));
        if submit.clicked() {
            form.tried = true;
            if let Ok(draft) = checked {
                scene.act(Act::Send(purpose.clone(), Command::JobSubmit(draft)));
            }
        }
        label::caption(ui, "Reserved now, paid only for a result that checks out.");
        scene.error_of(ui, state, &purpose);
    });
}

fn most(form: &BuyForm) -> Option<(Msat, Msat)> {
    Some((words::parse_sat(&form.bid).ok()?, words::parse_sat(&form.max_fee).ok()?))
}

/// The fields; answers whether anything was changed.
fn fields(ui: &mut Ui, form: &mut BuyForm, faults: &Faults) -> bool {
    let look = look(ui.ctx());
    let kind = KINDS.get(form.kind).unwrap_or(&KINDS[0]);
    let mut changed = Field::new(kind.input)
        .hint(kind.hint)
        .help(kind.help)
        .fault(faults.input.clone())
        .rows(3)
        .mono()
        .show(ui, Id::unique("buy-input"), &mut form.input)
        .changed();
    ui.horizontal_top(|ui| {
        let third = (ui.available_width() - 2.0 * look.space.s) / 3.0;
        let mut small = |ui: &mut Ui, field: Field<'_>, id: &str, text: &mut String| {
            changed |= field.width(third).show(ui, Id::unique(("buy", id)), text).changed();
        };
        let bid = Field::new("Bid").suffix("sat").fault(faults.bid.clone());
        small(ui, bid, "bid", &mut form.bid);
        let fee = Field::new("Most in fees").suffix("sat").fault(faults.max_fee.clone());
        small(ui, fee, "fee", &mut form.max_fee);
        let timeout = Field::new("Give up after").suffix("s").fault(faults.timeout.clone());
        small(ui, timeout, "timeout", &mut form.timeout);
    });
    changed |= Field::new("Provider, if it must be this one")
        .hint("npub1… or hex")
        .help("Left empty, the first acceptable offer is taken.")
        .fault(faults.provider.clone())
        .mono()
        .show(ui, Id::unique("buy-provider"), &mut form.provider)
        .changed();
    changed |= Field::new("Parameters, one per line")
        .hint("timeout_secs=20")
        .fault(faults.params.clone())
        .rows(2)
        .mono()
        .show(ui, Id::unique("buy-params"), &mut form.params)
        .changed();
    changed
}

const BOUGHT: [Column; 4] = [
    Column::grow("Job", 110.0),
    Column::fixed("State", 150.0, 1),
    Column::fixed("Amount", 90.0, 0).right(),
    Column::fixed("Updated", 76.0, 2).right(),
];

fn bought(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let rows = &scene.data.jobs.bought;
    if rows.is_empty() {
        panel::card(ui, |ui| {
            let lesson = "What you buy is followed here, from the request to its proof of payment.";
            notice::empty(ui, Icon::In, "Nothing bought yet", lesson, |_| {});
        });
        return;
    }
    panel::list_card(ui, |ui| {
        let list = List::new(ui, &BOUGHT);
        list.head(ui);
        for row in rows {
            let subject = Subject::Job(row.request_id);
            let selected = state.subject.as_ref() == Some(&subject);
            let cells = [
                Cell::Text(&row.kind, Face::Body, look.color.text),
                Cell::Badge(row.tone, &row.state),
                Cell::Text(&row.amount, Face::Body, look.color.text),
                Cell::Text(&row.updated, Face::Caption, look.color.faint),
            ];
            let id = Id::unique(("bought", row.request_id));
            if list.row(ui, id, &row.name, selected, &cells).clicked() {
                scene.acts.push(Act::Inspect(subject.clone()));
            }
            state.list.push(subject);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use proptest::prelude::*;

    fn keys() -> KeyMaker {
        KeyMaker::new(Timestamp(1), 2)
    }

    #[test]
    fn a_form_becomes_a_draft_and_keeps_its_key() {
        let mut form =
            BuyForm { input: "true".into(), params: "cpus = 1\n\n".into(), ..BuyForm::default() };
        let mut keys = keys();
        let first = draft(&mut form, &mut keys).unwrap();
        assert_eq!(first.kind, 5930);
        assert_eq!(first.inputs, [JobInput::Text { text: "true".into() }]);
        assert_eq!(first.params, [("cpus".to_owned(), "1".to_owned())]);
        assert_eq!(draft(&mut form, &mut keys).unwrap(), first);
        form.key = None;
        assert_ne!(draft(&mut form, &mut keys).unwrap().key, first.key);
    }

    #[test]
    fn a_snapshot_is_named_by_hash_and_size() {
        let hash = Sha256Hash::of(b"folder");
        let mut form = BuyForm { kind: 1, input: format!("{hash} 10,240"), ..BuyForm::default() };
        let blob = JobInput::Blob { sha256: hash, len: 10_240, media_type: SNAPSHOT_TYPE.into() };
        assert_eq!(draft(&mut form, &mut keys()).unwrap().inputs, [blob]);
        form.input = "./project".into();
        assert!(draft(&mut form, &mut keys()).unwrap_err().input.unwrap().contains("64"));
    }

    #[test]
    fn each_fault_stands_at_its_field() {
        let mut form = BuyForm {
            bid: "0".into(),
            max_fee: "x".into(),
            provider: "bob".into(),
            timeout: "1".into(),
            params: "nonsense".into(),
            ..BuyForm::default()
        };
        let faults = draft(&mut form, &mut keys()).unwrap_err();
        let all = [
            faults.input,
            faults.params,
            faults.bid,
            faults.max_fee,
            faults.provider,
            faults.timeout,
        ];
        assert!(all.iter().all(Option::is_some), "{all:?}");
    }

    proptest! {
        #[test]
        fn never_panics(a in "\\PC{0,30}", b in "\\PC{0,30}", kind in 0..9_usize) {
            let mut form = BuyForm {
                kind, input: a.clone(), params: b.clone(), bid: a.clone(), max_fee: b.clone(),
                provider: a, timeout: b, ..BuyForm::default()
            };
            let _read = draft(&mut form, &mut keys());
        }
    }
}
