//! Text fields with their label above, a hint inside and their fault below.

use egui::{Align2, Id, Response, TextEdit, Ui, Vec2};

use super::label;
use crate::look::{Face, look};

/// One labelled field.
pub struct Field<'a> {
    label: &'a str,
    hint: &'a str,
    help: Option<&'a str>,
    fault: Option<String>,
    width: Option<f32>,
    rows: usize,
    mono: bool,
    suffix: Option<&'a str>,
    limit: usize,
}

/// Longer input than this is cut: nothing the desk asks for needs more.
const DEFAULT_LIMIT: usize = 20_000;

impl<'a> Field<'a> {
    pub fn new(label: &'a str) -> Self {
        Self {
            label,
            hint: "",
            help: None,
            fault: None,
            width: None,
            rows: 1,
            mono: false,
            suffix: None,
            limit: DEFAULT_LIMIT,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// One line of help under the field, where there is no fault.
    #[must_use]
    pub fn help(mut self, help: &'a str) -> Self {
        self.help = Some(help);
        self
    }

    #[must_use]
    pub fn fault(mut self, fault: Option<String>) -> Self {
        self.fault = fault;
        self
    }

    #[must_use]
    pub fn width(mut self, width: f32) -> Self {
        self.width = Some(width);
        self
    }

    #[must_use]
    pub fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    #[must_use]
    pub fn mono(mut self) -> Self {
        self.mono = true;
        self
    }

    #[must_use]
    pub fn suffix(mut self, unit: &'a str) -> Self {
        self.suffix = Some(unit);
        self
    }

    pub fn show(self, ui: &mut Ui, id: Id, value: &mut String) -> Response {
        let look = look(ui.ctx());
        let width = self.width.unwrap_or_else(|| ui.available_width());
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = look.space.xs;
            ui.set_max_width(width);
            let name = label::colored(ui, self.label, Face::Caption, look.color.muted);
            let font = look.font(if self.mono { Face::Mono } else { Face::Body });
            let edit = if self.rows > 1 {
                TextEdit::multiline(value).desired_rows(self.rows)
            } else {
                TextEdit::singleline(value).align(Align2::LEFT_CENTER)
            };
            let mut edit = edit
                .id(id)
                .font(font)
                .desired_width(width)
                .char_limit(self.limit)
                .hint_text(self.hint)
                .min_size(Vec2::new(0.0, look.size.control));
            if let Some(unit) = self.suffix {
                edit = edit.suffix(egui::RichText::new(unit).color(look.color.faint));
            }
            let response = ui.add(edit).labelled_by(name.id);
            match (&self.fault, self.help) {
                (Some(fault), _) => {
                    label::colored(ui, fault, Face::Caption, look.color.danger);
                }
                (None, Some(help)) => {
                    label::caption(ui, help);
                }
                (None, None) => {}
            }
            response
        })
        .inner
    }
}
