//! Text in the steps of the type scale, and text painted into a place with an ellipsis.

use egui::{
    Align, Align2, Color32, FontId, Galley, Label, Painter, Rect, Response, RichText, Ui,
    epaint::text::{LayoutJob, TextWrapping},
};
use std::sync::Arc;

use crate::look::{Face, look};

fn put(ui: &mut Ui, text: impl Into<String>, face: Face, color: Color32) -> Response {
    let font = look(ui.ctx()).font(face);
    ui.add(Label::new(RichText::new(text).font(font).color(color)))
}

pub fn text(ui: &mut Ui, words: impl Into<String>) -> Response {
    let color = look(ui.ctx()).color.text;
    put(ui, words, Face::Body, color)
}

pub fn strong(ui: &mut Ui, words: impl Into<String>) -> Response {
    let color = look(ui.ctx()).color.text;
    put(ui, words, Face::Strong, color)
}

pub fn muted(ui: &mut Ui, words: impl Into<String>) -> Response {
    let color = look(ui.ctx()).color.muted;
    put(ui, words, Face::Body, color)
}

pub fn caption(ui: &mut Ui, words: impl Into<String>) -> Response {
    let color = look(ui.ctx()).color.faint;
    put(ui, words, Face::Caption, color)
}

pub fn title(ui: &mut Ui, words: impl Into<String>) -> Response {
    let color = look(ui.ctx()).color.text;
    put(ui, words, Face::Title, color)
}

pub fn heading(ui: &mut Ui, words: impl Into<String>) -> Response {
    let color = look(ui.ctx()).color.text;
    put(ui, words, Face::Heading, color)
}

pub fn mono(ui: &mut Ui, words: impl Into<String>) -> Response {
    let color = look(ui.ctx()).color.text;
    put(ui, words, Face::Mono, color)
}

pub fn colored(ui: &mut Ui, words: impl Into<String>, face: Face, color: Color32) -> Response {
    put(ui, words, face, color)
}

/// One line laid out in at most `width`, ending in an ellipsis where it is longer.
pub fn line(
    painter: &Painter,
    words: &str,
    font: FontId,
    color: Color32,
    width: f32,
) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(words.to_owned(), font, color);
    job.wrap = TextWrapping::truncate_at_width(width.max(0.0));
    painter.layout_job(job)
}

/// Paints one line into `rect`, centred on its height, on the side that `align` says.
/// Answers how wide it came out.
pub fn paint_line(
    painter: &Painter,
    rect: Rect,
    words: &str,
    font: FontId,
    color: Color32,
    align: Align,
) -> f32 {
    if words.is_empty() || rect.width() <= 0.0 {
        return 0.0;
    }
    let galley = line(painter, words, font, color, rect.width());
    let place = Align2([align, Align::Center]).align_size_within_rect(galley.size(), rect);
    let width = galley.size().x;
    painter.galley(place.min, galley, color);
    width
}
