//! The inspector: the one thing selected, its facts, timeline and proofs, and its raw form.

use domain::{IdempotencyKey, RequestId};
use egui::{Label, RichText, ScrollArea, Ui};
use engine::{
    Command,
    view::{EventDetail, JobRole, JobView, PaymentView, View},
};

use crate::{
    actions::{ActionId, Subject},
    courier::{Courier, Load, Purpose},
    frame::{payment, result},
    icons::Icon,
    look::{Face, look},
    present::{
        job::{self, Fact, JobDetail},
        wallet, words,
    },
    scene::{Act, Scene, env},
    state::State,
    widgets::{self, Btn, badge, facts, label, ladder, notice, panel, timeline},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let Some(subject) = state.subject.clone() else { return };
    let title = match &subject {
        Subject::Job(_) => "Job",
        Subject::Payment(_) => "Payment",
        Subject::Event(_) => "Event",
        Subject::Identity => "Identity",
    };
    panel::section(ui, title, |ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        if widgets::icon_button(ui, Icon::Cross, "Close inspector", "Close  (Esc)").clicked() {
            scene.act(Act::CloseInspector);
        }
        let copy = ActionId::CopySelected;
        let tip = widgets::button::tooltip(copy, scene.mac);
        if !matches!(subject, Subject::Identity)
            && widgets::icon_button(ui, Icon::Copy, copy.title(), &tip).clicked()
        {
            scene.act(Act::Run(copy));
        }
    });
    ui.add_space(look.space.xs);
    ScrollArea::vertical().id_salt(&subject).auto_shrink([false, false]).show(ui, |ui| {
        match &subject {
            Subject::Job(id) => job_ui(ui, scene, state, *id),
            Subject::Payment(key) => payment::show(ui, scene, state, key),
            Subject::Event(position) => event_ui(ui, scene, *position),
            Subject::Identity => super::super::screens::wallet::identity::show(ui, scene, state),
        }
        ui.add_space(look.space.l);
    });
}

/// The job with this id, hot or from a page of the history.
pub fn find_job(view: &View, courier: &Courier, id: RequestId) -> Option<JobView> {
    let older = || courier.jobs.items().iter().find(|job| job.request_id == id);
    job::find(view, id).map(|job| (**job).clone()).or_else(|| older().cloned())
}

/// The payment with this key, hot or from a page of the history.
pub fn find_payment(view: &View, courier: &Courier, key: &IdempotencyKey) -> Option<PaymentView> {
    let older = || courier.payments.items().iter().find(|payment| payment.key == *key);
    wallet::find(view, key).map(|payment| (**payment).clone()).or_else(|| older().cloned())
}

pub fn gone(ui: &mut Ui, what: &str) {
    notice::empty(
        ui,
        Icon::Search,
        &format!("This {what} is no longer here"),
        "It is older than what the desk keeps at hand. The history and the log still have it.",
        |_| {},
    );
}

pub fn copied(scene: &mut Scene<'_>, copied: Option<(&'static str, String)>) {
    if let Some((label, text)) = copied {
        scene.copy(label, text);
    }
}

fn job_ui(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, id: RequestId) {
    let look = look(ui.ctx());
    let Some(job) = find_job(scene.view, scene.courier, id) else { return gone(ui, "job") };
    let detail = JobDetail::of(&job, scene.clock);
    label::heading(ui, &detail.row.kind);
    ui.horizontal_wrapped(|ui| {
        badge::badge(ui, detail.row.tone, &detail.row.state);
        badge::badge(ui, detail.payment_tone, &detail.payment_state);
        label::muted(ui, words::role(job.role));
    });
    if let Some(waiting) = &detail.waiting {
        label::colored(ui, format!("Waiting for: {waiting}"), Face::Body, look.color.muted);
    }
    if let Some(reason) = &detail.reason {
        label::text(ui, reason);
    }
    job_actions(ui, scene, state, &job);
    if result::has(&job) {
        section(ui, "Result");
        ui.scope(|ui| result::show(ui, scene, state, &job));
    }
    section(ui, "Proofs");
    ui.scope(|ui| ladder::ladder(ui, &detail.rungs));
    section(ui, "Timeline");
    let step = ui.scope(|ui| timeline::timeline(ui, &detail.steps).map(|step| step.seq)).inner;
    if let Some(seq) = step {
        scene.act(Act::OpenStep { job: id, seq });
    }
    section(ui, "Facts");
    let chosen = ui.scope(|ui| facts::facts(ui, &detail.facts)).inner;
    copied(scene, chosen);
}

pub fn section(ui: &mut Ui, words: &str) {
    let look = look(ui.ctx());
    ui.add_space(look.space.s);
    panel::rule(ui);
    ui.add_space(look.space.xs);
    label::colored(ui, words, Face::CaptionStrong, look.color.faint);
}

fn job_actions(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, job: &JobView) {
    let id = job.request_id;
    let (answer, cancel) = (Purpose::Answer(id), Purpose::Cancel(id));
    if words::waits_for_operator(job) && job.role == JobRole::Provider {
        let busy = scene.courier.busy(&answer).is_some();
        ui.horizontal(|ui| {
            let env = env(scene.view, state);
            let accept = Btn::action(ActionId::AcceptJob, &env, scene.mac).primary().busy(busy);
            if ui.add(accept).clicked() {
                let command = Command::JobAccept { request_id: id };
                scene.acts.push(Act::Send(answer.clone(), command));
            }
            let refuse = Btn::action(ActionId::RefuseJob, &env, scene.mac).busy(busy);
            if ui.add(refuse).clicked() {
                let command = Command::JobRefuse { request_id: id };
                scene.acts.push(Act::Send(answer.clone(), command));
            }
        });
        label::caption(ui, format!("Accepting starts the work for {}.", job.amount_msat));
    } else if !job.over {
        let env = env(scene.view, state);
        let busy = scene.courier.busy(&cancel).is_some();
        if state.market.confirm_cancel == Some(id) {
            label::text(ui, cancel_effect(job));
            ui.horizontal(|ui| {
                if ui.add(Btn::new("Cancel this job").danger().busy(busy)).clicked() {
                    let command = Command::JobCancel { request_id: id };
                    scene.acts.push(Act::Send(cancel.clone(), command));
                }
                if ui.add(Btn::new("Keep it")).clicked() {
                    state.market.confirm_cancel = None;
                }
            });
        } else if ui.add(Btn::action(ActionId::CancelJob, &env, scene.mac).busy(busy)).clicked() {
            state.market.confirm_cancel = Some(id);
        }
    }
    scene.error_of(ui, state, &answer);
    scene.error_of(ui, state, &cancel);
}

/// What cancelling does to the money, before it is done.
fn cancel_effect(job: &JobView) -> String {
    match (job.role, job.proofs.paid.is_some()) {
        (JobRole::Buyer, true) => {
            format!("{} is paid already and does not come back.", job.amount_msat)
        }
        (JobRole::Buyer, false) => {
            "Nothing was paid. What is reserved for this job becomes free.".into()
        }
        (JobRole::Provider, _) => "The buyer is told. Nothing was paid.".into(),
    }
}

fn event_ui(ui: &mut Ui, scene: &mut Scene<'_>, position: u64) {
    match scene.courier.event(position) {
        Load::Waiting => notice::loading(ui, "Reading the event"),
        Load::Failed(error) => {
            match notice::error(ui, "The event could not be read", &error, true) {
                Some(notice::ErrorAnswer::Retry) => scene.courier.forget_event(position),
                Some(notice::ErrorAnswer::Dismiss) => scene.act(Act::CloseInspector),
                Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
                None => {}
            }
        }
        Load::Ready(event) => event_detail(ui, scene, &event),
    }
}

/// The facts of an event, as the inspector and tests read them.
pub fn event_facts(event: &EventDetail, clock: &crate::clock::Clock) -> Vec<Fact> {
    let row = &event.row;
    let mut facts = vec![
        Fact::plain("Position", words::grouped(row.position)),
        Fact::plain("Time", clock.exact(row.at)),
        Fact::plain("Zone", clock.zone(row.at)),
        Fact::plain("Type", &row.type_name),
        Fact::long("Stream", &row.stream),
        Fact::plain("Sequence", words::grouped(row.seq)),
        Fact::long("Hash", event.hash),
        if event.prev == domain::EventHash::GENESIS {
            Fact::plain("Previous", "first of its stream")
        } else {
            Fact::long("Previous", event.prev)
        },
    ];
    facts.push(match &event.cause {
        Some(cause) => Fact::long("Cause", cause),
        None => Fact::plain("Cause", "a command or the clock"),
    });
    facts
}

fn event_detail(ui: &mut Ui, scene: &mut Scene<'_>, event: &EventDetail) {
    let look = look(ui.ctx());
    label::title(ui, words::one_line(&event.row.summary));
    let chosen = ui.scope(|ui| facts::facts(ui, &event_facts(event, scene.clock))).inner;
    copied(scene, chosen);
    if !event.pending_effects.is_empty() {
        section(ui, "Effects not acknowledged yet");
        for effect in &event.pending_effects {
            label::mono(ui, effect);
        }
    }
    section(ui, "Data");
    let pretty = pretty(&event.json);
    egui::Frame::new()
        .fill(look.color.field)
        .stroke(look.hairline())
        .corner_radius(look.radius())
        .inner_margin(look.margin(look.space.m, look.space.s))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            let text = RichText::new(&pretty).font(look.font(Face::Mono)).color(look.color.muted);
            ui.add(Label::new(text).wrap().selectable(true));
        });
    if ui.add(Btn::new("Copy JSON").icon(Icon::Copy)).clicked() {
        scene.copy("Event", event.json.clone());
    }
}

fn pretty(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}
