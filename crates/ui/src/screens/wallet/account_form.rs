//! The terms of a sub-wallet: a name, a budget, limits, and whom it may pay.

use egui::{Id, Ui};
use engine::{
    Renewal,
    view::{AccountId, AccountView},
    wire::{Account, AccountKind, Budget, OnLimit},
};

use crate::{
    calls::Call,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::words,
    scene::{Act, Scene},
    state::{AccountForm, State},
    widgets::{self, Btn, Field, button, label, panel},
};

use super::accounts::kind;

const KINDS: [AccountKind; 2] = [AccountKind::Agent, AccountKind::App];
pub const RENEWALS: [Renewal; 4] =
    [Renewal::Daily, Renewal::Weekly, Renewal::Monthly, Renewal::Never];
/// The wallet takes no longer names, and no more payees.
const NAME_BYTES: usize = 80;
const PAYEES: usize = 64;

/// The first fault of each field.
#[derive(Debug, Default, PartialEq)]
struct Faults {
    name: Option<String>,
    budget: Option<String>,
    per_payment: Option<String>,
    allow: Option<String>,
}

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    panel::form_card(ui, |ui| {
        let Some(form) = &mut state.wallet.account else { return };
        let is_new = form.id.is_none();
        let title = if is_new { "New sub-wallet" } else { "Change sub-wallet" };
        let mut close = false;
        panel::section(ui, title, |ui| {
            close = widgets::icon_button(ui, Icon::Cross, "Close form", "").clicked();
        });
        let checked = account(form, &scene.view.wallet.accounts);
        let none = Faults::default();
        let faults = checked.as_ref().err().filter(|_| form.tried).unwrap_or(&none);
        fields(ui, form, faults, is_new);
        let busy = scene.courier.calls.busy(&Call::SetAccount);
        let words = if is_new { "Make it" } else { "Keep changes" };
        ui.add_space(look.space.xs);
        if ui.add(Btn::new(words).primary().busy(busy)).clicked() {
            form.tried = true;
            if let Ok(account) = &checked
                && let Ok(params) = serde_json::to_value(account)
            {
                scene.act(Act::Ask(Call::SetAccount, params));
            }
        }
        scene.error_of(ui, state, &Purpose::Call(Call::SetAccount));
        if close {
            state.wallet.account = None;
        }
    });
}

fn fields(ui: &mut Ui, form: &mut AccountForm, faults: &Faults, is_new: bool) {
    let look = look(ui.ctx());
    let id = |of: &str| Id::unique(("account", of));
    let name = Field::new("Name").hint("Research agent").fault(faults.name.clone());
    let response = name.show(ui, id("name"), &mut form.name);
    if !std::mem::replace(&mut form.opened, true) {
        response.request_focus();
    }
    if is_new {
        choose(ui, "Who uses it", &mut form.kind, &KINDS.map(|one| (one, kind(one))));
        let all = [(false, "Spends from yours"), (true, "Has its own money")];
        choose(ui, "Money", &mut form.isolated, &all);
    }
    ui.horizontal_top(|ui| {
        let half = (ui.available_width() - look.space.s) / 2.0;
        let budget = Field::new("Budget").hint("none").suffix("sat").width(half);
        let budget = budget.fault(faults.budget.clone()).help("Amounts and fees together.");
        budget.show(ui, id("budget"), &mut form.budget);
        let single = Field::new("Most for one payment").hint("none").suffix("sat").width(half);
        let single = single.fault(faults.per_payment.clone());
        single.show(ui, id("single"), &mut form.per_payment);
    });
    let renewals = RENEWALS.map(|one| (one, words::renewal(one)));
    choose(ui, "The budget is for", &mut form.renews, &renewals);
    let all = [(OnLimit::Ask, "Ask me"), (OnLimit::Refuse, "Refuse")];
    choose(ui, "Above a limit", &mut form.on_limit, &all);
    Field::new("May pay only, one per line")
        .hint("anyone")
        .help("Lightning addresses, node ids or Bitcoin addresses.")
        .fault(faults.allow.clone())
        .rows(2)
        .mono()
        .show(ui, id("allow"), &mut form.allow);
}

pub fn choose<T: Copy + PartialEq>(ui: &mut Ui, name: &str, value: &mut T, all: &[(T, &str)]) {
    let look = look(ui.ctx());
    label::colored(ui, name, Face::Caption, look.color.muted);
    let all: Vec<(T, String)> = all.iter().map(|(one, words)| (*one, (*words).into())).collect();
    if let Some(chosen) = button::segments(ui, name, *value, &all) {
        *value = chosen;
    }
}

/// The terms that the form says, or what is wrong with each field.
fn account(form: &AccountForm, known: &[AccountView]) -> Result<Account, Faults> {
    let mut faults = Faults::default();
    let name = words::one_line(&form.name);
    if name.is_empty() || name.len() > NAME_BYTES {
        faults.name = Some(format!("A name of up to {NAME_BYTES} letters."));
    }
    let amount = |text: &str| match text.trim() {
        "" => Ok(None),
        text => words::parse_sat(text).map(Some),
    };
    let (budget, single) = (amount(&form.budget), amount(&form.per_payment));
    faults.budget = budget.as_ref().err().cloned();
    faults.per_payment = single.as_ref().err().cloned();
    let allow: Vec<String> =
        form.allow.lines().map(|line| line.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    if allow.len() > PAYEES {
        faults.allow = Some(format!("At most {PAYEES} payees."));
    }
    let id = form.id.clone().or_else(|| new_id(&name, known));
    if id.is_none() && faults.name.is_none() {
        faults.name = Some("Use some letters or digits.".into());
    }
    match (budget, single, id) {
        (Ok(budget), Ok(per_payment_msat), Some(id)) if faults == Faults::default() => {
            Ok(Account {
                id,
                name,
                kind: form.kind,
                isolated: form.isolated,
                budget: budget.map(|amount_msat| Budget { amount_msat, renews: form.renews }),
                per_payment_msat,
                allow,
                expires_at: form.before.as_ref().and_then(|before| before.expires_at),
                on_limit: form.on_limit,
                connection: form.before.as_ref().and_then(|before| before.connection.clone()),
            })
        }
        _ => Err(faults),
    }
}

/// The name as an id that nobody has yet: small letters, digits and hyphens.
fn new_id(name: &str, known: &[AccountView]) -> Option<AccountId> {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let plain = plain.trim_matches('-');
    let free = |id: &AccountId| !id.is_operator() && known.iter().all(|one| one.account.id != *id);
    let plain = if plain.is_empty() { "sub-wallet" } else { plain };
    AccountId::new(plain).ok().filter(free).or_else(|| {
        (2..1_000).filter_map(|n| AccountId::new(format!("{plain}-{n}")).ok()).find(free)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_becomes_an_id_of_its_own() {
        let id = |name: &str| new_id(name, &[]).unwrap().to_string();
        assert_eq!(id("Research agent"), "research-agent");
        assert_eq!(id("operator"), "operator-2");
        assert_eq!(id("Ünïcode"), "n-code");
        assert_eq!(id("…"), "sub-wallet");
    }

    #[test]
    fn each_field_says_its_own_fault() {
        let mut form = AccountForm::new();
        form.budget = "a lot".into();
        let faults = account(&form, &[]).unwrap_err();
        assert!(faults.name.is_some() && faults.budget.is_some() && faults.per_payment.is_none());
        (form.name, form.budget) = ("Bot".into(), "1,000".into());
        let made = account(&form, &[]).unwrap();
        assert_eq!(made.budget.unwrap().amount_msat, domain::Msat::from_sat(1_000));
    }

    proptest! {
        #[test]
        fn never_panics(name in "\\PC{0,90}", text in "\\PC{0,40}") {
            let mut form = AccountForm::new();
            (form.name, form.budget, form.allow) = (name, text.clone(), text);
            let _checked = account(&form, &[]);
        }
    }
}
