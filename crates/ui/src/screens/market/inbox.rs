//! The inbox: one card per job that waits for the operator, saying exactly what accepting does.

use egui::{Align, Label, Layout, RichText, Ui};
use engine::{Command, command::PaymentPolicy, view::JobView};
use std::sync::Arc;

use crate::{
    actions::{ActionId, Subject},
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{job::JobRow, words},
    scene::{Act, Scene},
    state::State,
    widgets::{Btn, label, notice, panel},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let jobs: Vec<Arc<JobView>> =
        scene.view.jobs.iter().filter(|job| words::waits_for_operator(job)).cloned().collect();
    state.list = jobs.iter().map(|job| Subject::Job(job.request_id)).collect();
    if jobs.is_empty() {
        panel::card(ui, |ui| {
            let lesson = "Jobs that your rules don't decide wait here for your answer. \
                          Set the rules on the Desk under Who may buy.";
            notice::empty(ui, Icon::Check, "Nothing waits for you", lesson, |_| {});
        });
        return;
    }
    egui::ScrollArea::vertical().id_salt("inbox").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = look.space.s;
        for job in &jobs {
            card(ui, scene, state, job);
        }
    });
}

/// What accepting does, in one sentence.
fn effect(job: &JobView) -> String {
    let pays = match job.payment {
        Some(PaymentPolicy::Before) => "The buyer pays before the work starts",
        Some(PaymentPolicy::After) => "The buyer pays when the result is delivered",
        None => "Nothing of its kind is offered any more",
    };
    format!("Runs {} for {}. {pays}.", words::one_line(&job.kind_name), job.amount_msat)
}

fn card(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, job: &JobView) {
    let look = look(ui.ctx());
    let row = JobRow::of(job, scene.clock);
    let subject = Subject::Job(job.request_id);
    let purpose = Purpose::Answer(job.request_id);
    let busy = scene.courier.busy(&purpose).is_some();
    panel::card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                let buttons = look.size.field_short * 2.5;
                ui.set_width((ui.available_width() - buttons).max(look.size.field_short));
                ui.spacing_mut().item_spacing.y = look.space.xs;
                let title = RichText::new(&row.kind).font(look.font(Face::Title));
                ui.add(Label::new(title.color(look.color.text)).truncate());
                label::text(ui, effect(job));
                if let Some(reason) = &job.reason {
                    label::colored(ui, words::one_line(reason), Face::Body, look.color.muted);
                }
                let bid = job.bid_msat.map_or_else(String::new, |bid| format!(", bids {bid}"));
                let line =
                    format!("{}{bid}, asked {}", row.peer, scene.clock.moment(job.created_at));
                label::caption(ui, line);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let named = |id: ActionId| format!("{} {}", id.title(), job.request_id.short());
                let accept = Btn::new(ActionId::AcceptJob.title())
                    .primary()
                    .busy(busy)
                    .name(named(ActionId::AcceptJob))
                    .tooltip(ActionId::AcceptJob.action().tooltip);
                if ui.add(accept).clicked() {
                    let command = Command::JobAccept { request_id: job.request_id };
                    scene.act(Act::Send(purpose.clone(), command));
                }
                let refuse = Btn::new(ActionId::RefuseJob.title())
                    .busy(busy)
                    .name(named(ActionId::RefuseJob))
                    .tooltip(ActionId::RefuseJob.action().tooltip);
                if ui.add(refuse).clicked() {
                    let command = Command::JobRefuse { request_id: job.request_id };
                    scene.act(Act::Send(purpose.clone(), command));
                }
                let open =
                    Btn::new("Details").quiet().name(format!("Details {}", job.request_id.short()));
                if ui.add(open).clicked() {
                    scene.act(Act::Inspect(subject));
                }
            });
        });
        scene.error_of(ui, state, &purpose);
    });
}
