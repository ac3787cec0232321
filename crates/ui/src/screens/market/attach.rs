//! The folder or file that goes with a job: chosen, dropped or typed, then packed on this machine.

use egui::{Id, Ui, Vec2};
use engine::{command::JobInput, port::Packed};
use std::path::PathBuf;

use crate::{
    actions::ActionId,
    chooser::Wanted,
    icons::Icon,
    look::{Face, look},
    present::{Tone, words},
    scene::{Act, Scene},
    state::Attached,
    widgets::{Btn, badge, label, notice},
};

/// How a kind takes what is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// A folder, and nothing else.
    Folder,
    /// A folder to work in, or none.
    FolderToo,
    /// A file in place of the text.
    File,
}

impl Attach {
    pub fn wanted(self) -> Wanted {
        match self {
            Self::Folder | Self::FolderToo => Wanted::Folder,
            Self::File => Wanted::File,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Folder => "Folder",
            Self::FolderToo => "Folder to run it in, if any",
            Self::File => "Or a file",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Folder | Self::FolderToo => {
                "Packed here as git would walk it: no .git, nothing that .gitignore leaves out."
            }
            Self::File => "PDF, HTML, Markdown or text, at most 16 MiB.",
        }
    }
}

/// The input that is attached, or why there is none to send; absent where none was named.
pub fn input(attached: &Attached) -> Result<Option<JobInput>, String> {
    match (attached.path.trim().is_empty(), attached.packed(), attached.failed()) {
        (true, ..) => Ok(None),
        (false, Some(packed), _) => Ok(Some(packed.input.clone())),
        (false, None, Some(_)) => Err("It could not be packed; see below.".into()),
        (false, None, None) => Err("Pack it first.".into()),
    }
}

/// The field, its buttons, and how far the packing is. Answers whether the path was changed.
pub fn show(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    attached: &mut Attached,
    attach: Attach,
    fault: Option<&str>,
) -> bool {
    let look = look(ui.ctx());
    let packing = scene.courier.packing();
    let mut changed = false;
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = look.space.xs;
        let name = label::colored(ui, attach.title(), Face::Caption, look.color.muted);
        ui.horizontal(|ui| {
            let choose = match attach.wanted() {
                Wanted::Folder => ActionId::ChooseFolder,
                Wanted::File | Wanted::Save(_) => ActionId::ChooseFile,
            };
            let room = ui.available_width() - look.size.field_short - look.space.s;
            let edit = egui::TextEdit::singleline(&mut attached.path)
                .id(path_id())
                .hint_text("Choose, drop here, or type a path")
                .align(egui::Align2::LEFT_CENTER)
                .desired_width(room)
                .char_limit(4_096)
                .min_size(Vec2::new(0.0, look.size.control));
            let response = ui.add(edit).labelled_by(name.id);
            changed = response.changed();
            let entered = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            if entered && !attached.path.trim().is_empty() {
                scene.act(Act::Pack(PathBuf::from(attached.path.trim())));
            }
            let button = Btn::new("Choose…")
                .full_width()
                .name(choose.title())
                .tooltip(choose.action().tooltip);
            if ui.add(button).clicked() {
                scene.act(Act::Run(choose));
            }
        });
        match (fault, packing, attached.packed().is_some()) {
            (Some(fault), None, _) => {
                label::colored(ui, fault, Face::Caption, look.color.danger);
            }
            (None, None, false) if attached.failed().is_none() => {
                label::caption(ui, attach.help());
            }
            _ => {}
        }
        progress(ui, scene, attached, packing);
    });
    changed
}

/// The id of the path field.
pub fn path_id() -> Id {
    Id::unique("buy-path")
}

fn progress(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    attached: &mut Attached,
    packing: Option<(u64, u64)>,
) {
    let look = look(ui.ctx());
    if let Some((files, bytes)) = packing {
        let every = std::time::Duration::from_millis(look.motion.pulse_step_ms.into());
        ui.ctx().request_repaint_after(every);
        ui.horizontal(|ui| {
            let so_far = match files {
                0 => "Packing: looking at what is there".to_owned(),
                _ => {
                    let files = words::count(files, "file");
                    format!("Packing: {files}, {} so far", words::bytes(bytes))
                }
            };
            notice::loading(ui, &so_far);
            if ui.add(Btn::new("Stop packing").quiet()).clicked() {
                scene.act(Act::StopPacking);
            }
        });
        return;
    }
    if let Some(packed) = attached.packed() {
        let line = packed_line(packed);
        ui.horizontal_wrapped(|ui| {
            badge::badge(ui, Tone::Good, "Packed");
            label::colored(ui, line, Face::Caption, look.color.muted);
        });
        left_out(ui, packed);
    } else if let Some(error) = attached.failed().cloned() {
        match notice::error(ui, "It was not packed", &error, true) {
            Some(notice::ErrorAnswer::Retry) => {
                scene.act(Act::Pack(PathBuf::from(attached.path.trim())));
            }
            Some(notice::ErrorAnswer::Dismiss) => attached.outcome = None,
            Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
            None => {}
        }
    } else if !attached.path.trim().is_empty()
        && ui.add(Btn::new("Pack").icon(Icon::Receipt).name("Pack this path")).clicked()
    {
        scene.act(Act::Pack(PathBuf::from(attached.path.trim())));
    }
}

/// `1,204 files in 2.1 MB, sha256 1f2e3d4c…`
fn packed_line(packed: &Packed) -> String {
    let files = words::count(packed.files, "file");
    match &packed.input {
        JobInput::Blob { sha256, len, .. } => {
            format!("{files} in {}, SHA-256 {}", words::bytes(*len), sha256.short())
        }
        _ => files,
    }
}

fn left_out(ui: &mut Ui, packed: &Packed) {
    if packed.left_out_count == 0 {
        return;
    }
    let look = look(ui.ctx());
    let all: Vec<String> = packed.left_out.iter().map(|one| words::one_line(one)).collect();
    let many = words::count(packed.left_out_count, "path");
    let line = format!("{many} left out: {}", all.first().map_or("", String::as_str));
    label::colored(ui, line, Face::Caption, look.color.waiting).on_hover_text(all.join("\n"));
}
