//! Lists: a head, and rows of cells painted in place. One accessible node per row; columns that
//! don't fit are dropped by rank, so that a narrow window shows less instead of squeezing more.

use egui::{
    Align, Color32, Id, Rect, Response, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo, pos2,
};

use super::{badge, label};
use egui::style::ScrollAnimation;

use crate::{
    icons::{self, Icon},
    look::{Face, Look, look},
    present::Tone,
};

/// One column. `rank` 0 is never dropped; the highest rank goes first.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub title: &'static str,
    pub width: f32,
    /// Takes the room that is left.
    pub grows: bool,
    pub right: bool,
    pub rank: u8,
}

impl Column {
    pub const fn fixed(title: &'static str, width: f32, rank: u8) -> Self {
        Self { title, width, grows: false, right: false, rank }
    }

    pub const fn grow(title: &'static str, min: f32) -> Self {
        Self { title, width: min, grows: true, right: false, rank: 0 }
    }

    pub const fn right(mut self) -> Self {
        self.right = true;
        self
    }
}

/// What stands in a cell.
pub enum Cell<'a> {
    Text(&'a str, Face, Color32),
    /// A small icon before a text.
    Mark(Icon, Color32, &'a str),
    Badge(Tone, &'a str),
}

/// Where each column stands: left edge and width, absent where it was dropped.
pub fn solve(columns: &[Column], room: f32, gap: f32) -> Vec<Option<(f32, f32)>> {
    let mut kept: Vec<bool> = vec![true; columns.len()];
    let needed = |kept: &[bool]| -> f32 {
        let shown = columns.iter().zip(kept).filter(|(_, kept)| **kept);
        let (count, sum) = shown.fold((0, 0.0), |(n, sum), (c, _)| (n + 1, sum + c.width));
        sum + gap * (count as f32 - 1.0).max(0.0)
    };
    while needed(&kept) > room {
        let drop = columns
            .iter()
            .enumerate()
            .filter(|(index, column)| kept[*index] && column.rank > 0)
            .max_by_key(|(_, column)| column.rank);
        match drop {
            Some((index, _)) => kept[index] = false,
            None => break,
        }
    }
    let spare = (room - needed(&kept)).max(0.0);
    let growing = columns.iter().zip(&kept).filter(|(c, kept)| c.grows && **kept).count();
    let share = if growing == 0 { 0.0 } else { spare / growing as f32 };
    let mut left = 0.0;
    columns
        .iter()
        .zip(kept)
        .map(|(column, kept)| {
            kept.then(|| {
                let width = column.width + if column.grows { share } else { 0.0 };
                let at = left;
                left += width + gap;
                (at, width)
            })
        })
        .collect()
}

/// A list being drawn: its columns solved for the room there is.
pub struct List<'a> {
    columns: &'a [Column],
    places: Vec<Option<(f32, f32)>>,
    look: std::sync::Arc<Look>,
}

impl<'a> List<'a> {
    pub fn new(ui: &Ui, columns: &'a [Column]) -> Self {
        let look = look(ui.ctx());
        let room = ui.available_width() - 2.0 * look.space.m;
        Self { columns, places: solve(columns, room, look.space.m), look }
    }

    fn cells(&self, rect: Rect) -> impl Iterator<Item = (usize, Rect, Align)> {
        let inner = rect.shrink2(Vec2::new(self.look.space.m, 0.0));
        self.places.iter().zip(self.columns).enumerate().filter_map(
            move |(index, (place, column))| {
                let (left, width) = (*place)?;
                let min = pos2(inner.left() + left, inner.top());
                let rect = Rect::from_min_size(min, Vec2::new(width, inner.height()));
                Some((index, rect, if column.right { Align::Max } else { Align::Min }))
            },
        )
    }

    /// The head of the list, with a line under it.
    pub fn head(&self, ui: &mut Ui) {
        let look = &self.look;
        let size = Vec2::new(ui.available_width(), look.size.row);
        let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
        for (index, cell, align) in self.cells(rect) {
            let font = look.font(Face::Caption);
            let title = self.columns[index].title;
            label::paint_line(ui.painter(), cell, title, font, look.color.faint, align);
        }
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, look.hairline());
    }

    /// One row; `name` is what a reader says of it.
    pub fn row(
        &self,
        ui: &mut Ui,
        id: Id,
        name: &str,
        selected: bool,
        cells: &[Cell<'_>],
    ) -> Response {
        let look = &self.look;
        let size = Vec2::new(ui.available_width(), look.size.row);
        let (_, rect) = ui.allocate_space(size);
        let response = ui.interact(rect, id, Sense::click());
        response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, selected, name));
        if !ui.is_rect_visible(rect) {
            return response;
        }
        let ground = match (selected, response.hovered()) {
            (true, _) => Some(look.color.selected),
            (false, true) => Some(look.color.hover),
            (false, false) => None,
        };
        if let Some(ground) = ground {
            ui.painter().rect_filled(rect, 0.0, ground);
        }
        if selected {
            let edge = Rect::from_min_size(rect.min, Vec2::new(2.0, rect.height()));
            ui.painter().rect_filled(edge, 0.0, look.color.accent_text);
        }
        for (index, cell, align) in self.cells(rect) {
            if let Some(content) = cells.get(index) {
                self.cell(ui, cell, align, content);
            }
        }
        if response.has_focus() {
            super::button::focus_ring(ui, look, rect.shrink(look.space.xs));
        }
        response
    }

    fn cell(&self, ui: &Ui, rect: Rect, align: Align, cell: &Cell<'_>) {
        let look = &self.look;
        match cell {
            Cell::Text(words, face, ink) => {
                label::paint_line(ui.painter(), rect, words, look.font(*face), *ink, align);
            }
            Cell::Mark(mark, ink, words) => {
                let side = look.size.icon - 2.0;
                let place = Rect::from_center_size(
                    pos2(rect.left() + side / 2.0, rect.center().y),
                    Vec2::splat(side),
                );
                icons::paint(ui.painter(), place, *mark, look.size.icon_stroke, *ink);
                let mut text = rect;
                text.set_left(place.right() + look.space.s);
                let font = look.font(Face::Body);
                label::paint_line(ui.painter(), text, words, font, look.color.text, Align::Min);
            }
            Cell::Badge(tone, words) => badge::paint_badge(ui, look, rect, *tone, words),
        }
    }

    /// Any number of rows of which only the visible ones are drawn. `reveal` brings one into
    /// sight; `stick` keeps the last there. Answers whether the pointer is over the rows, and
    /// whether the last one is in sight.
    pub fn rows(
        &self,
        ui: &mut Ui,
        salt: &str,
        total: u64,
        reveal: Option<u64>,
        stick: bool,
        mut row: impl FnMut(&mut Ui, &Self, u64),
    ) -> Rows {
        let height = self.look.size.row;
        ui.spacing_mut().item_spacing.y = 0.0;
        let mut area = ScrollArea::vertical().id_salt(salt).auto_shrink([false, false]);
        area = area.stick_to_bottom(stick).animated(false);
        let opened = ui.scope_id().with((salt, "opened"));
        let first = !ui.data(|data| data.get_temp::<bool>(opened).unwrap_or(false));
        if first {
            ui.data_mut(|data| data.insert_temp(opened, true));
            if stick {
                // The first frame stands at the end already, so that only the end is read.
                let end = total as f32 * height - ui.available_height();
                area = area.vertical_scroll_offset(end.max(0.0));
            }
        }
        let shown = area.show_rows(ui, height, usize::try_from(total).unwrap_or(0), |ui, range| {
            if let Some(at) = reveal {
                let top = ui.max_rect().top() + (at as f32 - range.start as f32) * height;
                let place = Rect::from_x_y_ranges(ui.max_rect().x_range(), top..=top + height);
                ui.scroll_to_rect_animation(place, None, ScrollAnimation::none());
            }
            for index in range {
                row(ui, self, index as u64);
            }
        });
        let bottom = shown.content_size.y - shown.inner_rect.height();
        Rows {
            hovered: ui.rect_contains_pointer(shown.inner_rect),
            at_end: shown.state.clamped_offset().y >= bottom - height / 2.0,
        }
    }
}

/// What became of a list of rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    pub hovered: bool,
    pub at_end: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [Column::fixed("a", 50.0, 2), Column::grow("b", 100.0), Column::fixed("c", 60.0, 1)];

    #[test]
    fn room_goes_to_the_column_that_grows() {
        let places = solve(&COLUMNS, 400.0, 10.0);
        assert_eq!(places, [Some((0.0, 50.0)), Some((60.0, 270.0)), Some((340.0, 60.0))]);
    }

    #[test]
    fn what_does_not_fit_is_dropped_by_rank() {
        assert_eq!(solve(&COLUMNS, 200.0, 10.0), [None, Some((0.0, 130.0)), Some((140.0, 60.0))]);
        assert_eq!(solve(&COLUMNS, 120.0, 10.0), [None, Some((0.0, 120.0)), None]);
        assert_eq!(solve(&COLUMNS, 20.0, 10.0), [None, Some((0.0, 100.0)), None]);
    }
}
