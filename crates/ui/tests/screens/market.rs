//! The Market by label: inbox, active jobs with timeline and proofs, history pages, buying.

use domain::Msat;
use egui::{Key, Modifiers};
use engine::{
    Command, Query,
    command::{JobDraft, JobInput},
};
use ui::Screen;

use crate::{
    Window,
    fixture::{self, FakeDesk, Manner, id},
};

#[test]
fn the_inbox_says_what_accepting_does_and_answers() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.jump(Key::G, Key::M);
    window.must_say("Inbox, 2 waiting");
    window.must_say("Runs repo-index for 2,100 sat. The buyer pays when the result is delivered.");
    window.must_say("The request names nobody");
    window.must_say("Runs text-extraction of a document");
    window.must_say("1,500.250 sat. The buyer pays before the work starts.");
    window.click("Accept job 02020202");
    window.click("Refuse job 03030303");
    assert_eq!(
        desk.commands(),
        [Command::JobAccept { request_id: id(2) }, Command::JobRefuse { request_id: id(3) }]
    );
}

#[test]
fn the_inbox_is_answered_by_keyboard() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.jump(Key::G, Key::M);
    window.press(Key::A);
    window.must_say("Select a job that waits for you first.");
    window.press(Key::J);
    window.press(Key::A);
    window.press(Key::J);
    window.press(Key::X);
    assert_eq!(
        desk.commands(),
        [Command::JobAccept { request_id: id(2) }, Command::JobRefuse { request_id: id(3) }]
    );
}

#[test]
fn an_empty_inbox_says_where_the_rules_are() {
    let desk = FakeDesk::new(fixture::empty());
    let mut window = Window::open(&desk, Screen::Market);
    window.must_say("No job is running");
    window.click("Inbox");
    window.must_say("Nothing waits for you");
    window.must_say("Who may buy");
}

#[test]
fn an_active_job_shows_who_moves_next_and_opens_the_events_of_its_steps() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Market);
    window.click("Active");
    window.click("Sold sandbox-run, Delivered, waiting for the buyer, 2,100 sat");
    window.must_say("Waiting for: the buyer");
    window.must_say("Invoiced");
    window.must_say("Request seen: proved by relay");
    window.must_say("Fee: unknown");
    window.click("Copy payment hash");
    window.must_say("Payment hash copied");
    window.click("Received, 13:53:12.112");
    window.must_say("Sequence: 1");
    window.must_say("Type: provider.went_online");
}

#[test]
fn cancelling_shows_its_effect_first() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Market);
    window.click("Active");
    window.click("Bought text-extraction, Requested, waiting for the provider, 2,100 sat");
    window.press(Key::C);
    assert_eq!(desk.commands(), []);
    window.must_say("What is reserved for this job becomes free.");
    window.click("Cancel this job");
    assert_eq!(desk.commands(), [Command::JobCancel { request_id: id(5) }]);
}

#[test]
fn history_goes_on_page_by_page() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Market);
    window.click("History");
    window.must_say("Sold sandbox-run, Failed");
    window.must_say("Sold repo-index, Refused");
    let pages =
        || desk.asked.lock().unwrap().iter().filter(|q| matches!(q, Query::Jobs { .. })).count();
    assert_eq!(pages(), 1);
    // To the end by keyboard: the next page is asked for and drawn.
    for _ in 0..12 {
        window.harness.hover_at(egui::pos2(700.0, 500.0));
        window.harness.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: egui::Vec2::new(0.0, -400.0),
            phase: egui::TouchPhase::Move,
            modifiers: Modifiers::NONE,
            source: egui::MouseWheelSource::Wheel,
        });
        window.harness.run_ok();
    }
    assert_eq!(pages(), 2);
    window.must_say("This is the first job.");
}

#[test]
fn history_that_cannot_be_read_says_so_and_tries_again() {
    let desk = FakeDesk::with(fixture::empty(), Manner { failing: true, ..Manner::default() });
    let mut window = Window::open(&desk, Screen::Market);
    window.click("History");
    window.must_say("Older jobs could not be read");
    window.must_say("Run pilothouse events verify.");
    desk.behave(|manner| manner.failing = false);
    window.click("Try again");
    window.must_not_say("Older jobs could not be read");
    window.must_say("Sold sandbox-run, Delivered");
}

#[test]
fn history_on_its_way_is_said() {
    let desk = FakeDesk::with(fixture::empty(), Manner { silent: true, ..Manner::default() });
    let mut window = Window::open(&desk, Screen::Market);
    window.click("History");
    window.must_say("Reading the history");
}

#[test]
fn a_job_is_bought_by_keyboard_and_followed() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.press(Key::B);
    window.click("Submit job");
    window.must_say("Say what is to be done.");
    assert_eq!(desk.commands(), []);
    use egui_kittest::kittest::Queryable as _;
    let role = egui::accesskit::Role::MultilineTextInput;
    window.harness.get_by_role_and_label(role, "Command").focus();
    window.run();
    window.harness.get_by_role_and_label(role, "Command").type_text("wc -l < README.md");
    window.run();
    window.retype("Bid", "1,500");
    window.must_say("1,500 sat");
    window.must_say("and 20 sat in fees");
    window.click("Submit job");
    let commands = desk.commands();
    let [Command::JobSubmit(draft)] = commands.as_slice() else { panic!("{commands:?}") };
    let JobDraft { kind, inputs, bid_msat, max_fee_msat, provider, timeout_secs, .. } = draft;
    assert_eq!((*kind, *bid_msat), (5930, Msat::from_sat(1_500)));
    assert_eq!(*inputs, [JobInput::Text { text: "wc -l < README.md".into() }]);
    assert_eq!((*max_fee_msat, *timeout_secs), (Msat::from_sat(20), 300));
    assert!(provider.is_none());
    window.must_say("Waiting for: the provider");
}

#[test]
fn the_form_refuses_a_secret_key_by_name() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.press(Key::B);
    let nsec = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5";
    window.retype("Provider, if it must be this one", nsec);
    window.click("Submit job");
    window.must_say("This is a secret key");
    assert_eq!(desk.commands(), []);
}

#[test]
fn a_folder_is_chosen_packed_and_sent() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Market);
    window.click("Buy");
    window.click("Kind: Index a repository");
    window.click("Submit job");
    window.must_say("Choose the folder to send.");
    assert_eq!(desk.commands(), []);
    // The dialog of the platform, as a test has it: it answers at once.
    window.click("Choose folder");
    assert_eq!(*desk.packed.lock().unwrap(), [std::path::PathBuf::from("/chosen/folder")]);
    window.must_say("1,204 files in 2.1 MB, SHA-256");
    window.click("Submit job");
    let commands = desk.commands();
    let [Command::JobSubmit(draft)] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!(draft.kind, 5931);
    assert!(matches!(draft.inputs.as_slice(), [JobInput::Blob { len: 2_100_000, .. }]));
}

#[test]
fn a_typed_path_is_packed_by_enter_and_another_one_anew() {
    let manner = Manner {
        left_out: vec!["/a/link: a link that leads out of the directory".into()],
        ..Manner::default()
    };
    let desk = FakeDesk::with(fixture::busy(), manner);
    let mut window = Window::open(&desk, Screen::Market);
    window.click("Buy");
    window.type_into("Folder to run it in, if any", "/a");
    window.press(Key::Enter);
    window.must_say("Packed");
    window.must_say("1 path left out: /a/link: a link that leads out of the directory");
    window.retype("Folder to run it in, if any", "/b");
    window.must_not_say("left out");
    window.click("Submit job");
    window.must_say("Pack it first.");
    window.click("Pack this path");
    window.must_say("1,204 files in 2.1 MB");
    let packed = desk.packed.lock().unwrap().clone();
    assert_eq!(packed, ["/a", "/b"].map(std::path::PathBuf::from));
}

#[test]
fn packing_says_how_far_it_is_and_stops() {
    let desk = FakeDesk::with(fixture::busy(), Manner { stuck: true, ..Manner::default() });
    let mut window = Window::open(&desk, Screen::Market);
    window.click("Buy");
    window.click("Choose folder");
    window.must_say("Packing: looking at what is there");
    let progress = desk.progress.lock().unwrap().clone().unwrap();
    assert!(progress.note(1_204, 12_400_000));
    window.run();
    window.must_say("Packing: 1,204 files, 12.4 MB so far");
    window.click("Stop packing");
    assert!(!progress.note(1_205, 12_400_001), "the packer is told to stop");
    window.must_not_say("so far");
}

#[test]
fn what_cannot_be_packed_says_why() {
    let desk = FakeDesk::with(fixture::busy(), Manner { failing: true, ..Manner::default() });
    let mut window = Window::open(&desk, Screen::Market);
    window.click("Buy");
    window.click("Choose folder");
    window.must_say("It was not packed");
    window.must_say("more than 20000 files");
    desk.behave(|manner| manner.failing = false);
    window.click("Try again");
    window.must_not_say("It was not packed");
    window.must_say("1,204 files");
}

#[cfg(feature = "headless")]
pub const LONG_RESULT: &str = "# A title that is longer than the inspector is wide, and goes on\n\
    one line\n\tanother one\n\nthe last, after an empty one\n";
const COMMAND_RESULT: &str = r#"{"exit_code":0,"stdout":{"text":"Linux 6.1\n","total_bytes":10},
    "stderr":{"text":"","total_bytes":0},"usage":{"wall_ms":12}}"#;

#[test]
fn a_bought_result_is_read_and_copied() {
    let desk = FakeDesk::new(fixture::busy());
    desk.behave(|manner| manner.result = Some(fixture::text(COMMAND_RESULT)));
    let mut window = Window::open(&desk, Screen::Market);
    window.click("History");
    window.click("Bought repo-index, Delivered, 2,100 sat");
    window.must_say("Output");
    window.must_say("Linux 6.1");
    window.must_say("Exit code");
    window.must_not_say("wall_ms");
    window.click("Show everything");
    window.must_say("wall_ms");
    window.press_with(Modifiers::SHIFT, Key::Y);
    window.must_say("Result copied");
    let asked = desk.asked.lock().unwrap();
    let results = asked.iter().filter(|query| matches!(query, Query::JobResult { .. })).count();
    assert_eq!(results, 1, "it is asked for once");
}

#[test]
fn a_long_result_is_cut_until_it_is_asked_for() {
    let desk = FakeDesk::new(fixture::busy());
    let long: String = (0..4_000).map(|line| format!("line {line}\n")).collect();
    desk.behave(|manner| manner.result = Some(fixture::text(&long)));
    let mut window = Window::open(&desk, Screen::Market);
    window.click("History");
    window.click("Bought repo-index, Delivered, 2,100 sat");
    window.must_say("line 11");
    window.must_not_say("line 12\n");
    window.must_say("and 3,988 more lines");
    window.click("Show everything");
    window.must_say("line 1200");
    window.must_say("copy it to read it whole");
}

#[test]
fn results_that_are_not_text_or_not_there_say_so() {
    use engine::view::JobResult;
    let desk = FakeDesk::new(fixture::busy());
    let archive = JobResult::NotText { size_bytes: 4_200, media_type: "application/zip".into() };
    desk.behave(|manner| manner.result = Some(archive));
    let mut window = Window::open(&desk, Screen::Market);
    window.click("History");
    window.click("Bought repo-index, Delivered, 2,100 sat");
    window.must_say("4.2 kB of application/zip, not text.");
    desk.behave(|manner| manner.result = Some(JobResult::NotHere));
    let mut window = Window::open(&desk, Screen::Market);
    window.click("History");
    window.click("Bought repo-index, Delivered, 2,100 sat");
    window.must_say("Its content is not on this machine");
    desk.behave(|manner| manner.failing = true);
    let mut window = Window::open(&desk, Screen::Market);
    window.click("History");
    window.click("Bought repo-index, Delivered, 2,100 sat");
    window.must_say("The result could not be read");
}
