//! Buying a job: a form, what it may cost at most, and the jobs bought so far.

use domain::Msat;
use egui::{Id, Ui};
use engine::{
    Command,
    command::{JobDraft, JobInput},
};

use super::attach::{self, Attach};
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
    /// What is typed for it, where anything is.
    pub text: Option<Text>,
    pub attach: Attach,
}

/// The field for what is typed.
pub struct Text {
    label: &'static str,
    hint: &'static str,
    help: &'static str,
}

/// The kinds that run with no model.
pub const KINDS: [Kind; 3] = [
    Kind {
        kind: 5930,
        title: "Run a command",
        price: Msat::from_sat(2),
        text: Some(Text {
            label: "Command",
            hint: "uname -a",
            help: "For a shell, in a sandbox without network. The result has output and exit code.",
        }),
        attach: Attach::FolderToo,
    },
    Kind {
        kind: 5931,
        title: "Index a repository",
        price: Msat::from_sat(3),
        text: None,
        attach: Attach::Folder,
    },
    Kind {
        kind: 5000,
        title: "Extract text",
        price: Msat::from_sat(1),
        text: Some(Text {
            label: "Document",
            hint: "<h1>Title</h1><p>Text</p>",
            help: "Pasted text, or an address. Of pasted HTML, say media_type=text/html below.",
        }),
        attach: Attach::File,
    },
];

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    egui::ScrollArea::vertical().id_salt("buy").auto_shrink([false, false]).show(ui, |ui| {
        let wide = ui.available_width() > look.size.form * 1.7;
        if wide {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                // The scroll bar floats at the right: nothing stands under it.
                let rest = ui.available_width() - look.size.form - look.space.l - look.space.m;
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
    pub attached: Option<String>,
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
    let kind = KINDS.get(form.kind).unwrap_or(&KINDS[0]);
    let attached = attach::input(&form.attached);
    faults.attached = attached.as_ref().err().cloned();
    let named = attached.as_ref().is_ok_and(Option::is_some);
    let typed = typed(kind, form.input.trim(), named);
    faults.input = typed.as_ref().err().cloned();
    if kind.text.is_none() && attached == Ok(None) {
        faults.attached = Some("Choose the folder to send.".into());
    }
    if form.key.is_none() {
        form.key = keys.command();
    }
    let inputs = match (typed, attached) {
        (Ok(typed), Ok(attached)) => typed.into_iter().chain(attached).collect(),
        _ => Vec::new(),
    };
    match (bid, max_fee, params, provider, timeout.zip(form.key.clone())) {
        (Ok(bid_msat), Ok(max_fee_msat), Ok(params), Ok(provider), Some((timeout_secs, key)))
            if !inputs.is_empty() =>
        {
            let kind = kind.kind;
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

/// What was typed as an input; a file may stand in its place.
fn typed(kind: &Kind, text: &str, attached: bool) -> Result<Option<JobInput>, String> {
    match (&kind.text, text.is_empty(), kind.attach) {
        (None, ..) => Ok(None),
        (Some(_), true, Attach::File) if attached => Ok(None),
        (Some(_), true, Attach::File) => Err("Paste a document, or choose a file.".into()),
        (Some(_), true, _) => Err("Say what is to be done.".into()),
        (Some(_), false, Attach::File) if attached => {
            Err("Send the file or the text, not both.".into())
        }
        (Some(_), false, _) => {
            let address = ["https://", "http://"].iter().any(|start| text.starts_with(start));
            if address && !text.contains(char::is_whitespace) {
                return Ok(Some(JobInput::Url { url: text.to_owned() }));
            }
            Ok(Some(JobInput::Text { text: text.to_owned() }))
        }
    }
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
            form.tried = false;
        }
        let checked = draft(form, scene.keys);
        let faults = match &checked {
            Err(faults) if form.tried => faults,
            _ => &Faults::default(),
        };
        let changed = fields(ui, scene, form, faults);
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
        let packing = scene.courier.packing().map(|_| "It is still being packed.".to_owned());
        let submit = Btn::new(words).primary().full_width().busy(busy).blocked(packing);
        let submit = ui.add(submit.name("Submit job"));
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
fn fields(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut BuyForm, faults: &Faults) -> bool {
    let look = look(ui.ctx());
    let kind = KINDS.get(form.kind).unwrap_or(&KINDS[0]);
    let mut changed = false;
    if let Some(text) = &kind.text {
        changed = Field::new(text.label)
            .hint(text.hint)
            .help(text.help)
            .fault(faults.input.clone())
            .rows(3)
            .mono()
            .show(ui, Id::unique("buy-input"), &mut form.input)
            .changed();
    }
    let fault = faults.attached.as_deref();
    changed |= attach::show(ui, scene, &mut form.attached, kind.attach, fault);
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
    fn a_packed_folder_is_sent_alone_or_beside_a_command() {
        let blob = JobInput::Blob {
            sha256: domain::Sha256Hash::of(b"folder"),
            len: 10_240,
            media_type: "application/gzip".into(),
        };
        let packed = engine::port::Packed {
            input: blob.clone(),
            files: 3,
            left_out: Vec::new(),
            left_out_count: 0,
        };
        let attached = || crate::state::Attached {
            path: "/a/project".into(),
            outcome: Some(("/a/project".into(), Ok(packed.clone()))),
        };
        let mut form = BuyForm { kind: 1, attached: attached(), ..BuyForm::default() };
        assert_eq!(draft(&mut form, &mut keys()).unwrap().inputs, std::slice::from_ref(&blob));
        form = BuyForm { input: "make".into(), attached: attached(), ..BuyForm::default() };
        let command = JobInput::Text { text: "make".into() };
        assert_eq!(draft(&mut form, &mut keys()).unwrap().inputs, [command, blob.clone()]);
        // A document is a text or a file.
        form.kind = 2;
        assert!(draft(&mut form, &mut keys()).unwrap_err().input.is_some());
        form.input.clear();
        assert_eq!(draft(&mut form, &mut keys()).unwrap().inputs, [blob]);
        // Another path than the one that was packed is another folder.
        form.attached.path = "/another".into();
        assert!(draft(&mut form, &mut keys()).unwrap_err().attached.unwrap().contains("Pack"));
        form.attached.path.clear();
        form.kind = 1;
        assert!(draft(&mut form, &mut keys()).unwrap_err().attached.unwrap().contains("Choose"));
    }

    #[test]
    fn each_fault_stands_at_its_field() {
        let mut form = BuyForm {
            bid: "0".into(),
            max_fee: "x".into(),
            provider: "bob".into(),
            timeout: "1".into(),
            params: "nonsense".into(),
            attached: crate::state::Attached { path: "x".into(), outcome: None },
            ..BuyForm::default()
        };
        let faults = draft(&mut form, &mut keys()).unwrap_err();
        let all = [
            faults.input,
            faults.attached,
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
