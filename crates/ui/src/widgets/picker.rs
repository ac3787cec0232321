//! A list that drops down, of which one holds; its label stands above it, as over a field.

use egui::{ComboBox, Ui};

use super::label;
use crate::look::{Face, look};

/// Answers the choice that was made, if one was.
pub fn picker<T: Clone + PartialEq>(
    ui: &mut Ui,
    name: &str,
    width: f32,
    now: &T,
    all: &[(T, String)],
) -> Option<T> {
    let look = look(ui.ctx());
    let mut chosen = None;
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = look.space.xs;
        ui.set_max_width(width);
        let caption = label::colored(ui, name, Face::Caption, look.color.muted);
        chosen = bare(ui, name, width, now, all, Some(caption.id));
    });
    chosen
}

/// Without a label above: `name` is what a reader says.
pub fn bare<T: Clone + PartialEq>(
    ui: &mut Ui,
    name: &str,
    width: f32,
    now: &T,
    all: &[(T, String)],
    caption: Option<egui::Id>,
) -> Option<T> {
    let look = look(ui.ctx());
    let mut chosen = None;
    let shown = all.iter().find(|(value, _)| value == now).map_or("", |(_, words)| words.as_str());
    let response = ComboBox::from_id_salt(("picker", name))
        .width(width)
        .truncate()
        .selected_text(shown)
        .show_ui(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            ui.set_min_width(look.size.field_short);
            for (value, words) in all {
                let selected = value == now;
                if ui.selectable_label(selected, words).clicked() && !selected {
                    chosen = Some(value.clone());
                }
            }
        })
        .response;
    let said = format!("{name}: {shown}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, &said));
    if let Some(caption) = caption {
        response.labelled_by(caption);
    }
    chosen
}
