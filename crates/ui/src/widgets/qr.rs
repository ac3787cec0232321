//! QR codes painted as one mesh: dark modules on light in both themes, as scanners want.

use egui::{Id, Mesh, Rect, Response, Role, Sense, Shape, Ui, Vec2, WidgetInfo, pos2, vec2};
use fast_qr::{ECL, QRBuilder};
use std::sync::Arc;

use crate::look::look;

/// The dark modules of a code and its width in modules.
struct Modules {
    width: usize,
    dark: Vec<(usize, usize)>,
}

/// The quiet zone around a code, in modules (ISO/IEC 18004).
const QUIET: usize = 4;

fn modules(text: &str) -> Option<Modules> {
    // Upper case lets bech32 be written in the denser alphanumeric mode. What has capitals of its
    // own, or is a link, means something else then.
    let is_bech32 = !text.contains(|c: char| c.is_uppercase() || matches!(c, ':' | '/' | '@'));
    let written = if is_bech32 { text.to_uppercase() } else { text.to_owned() };
    let code = QRBuilder::new(written).ecl(ECL::L).build().ok()?;
    let dark = (0..code.size)
        .flat_map(|y| (0..code.size).map(move |x| (x, y)))
        .filter(|(x, y)| code[*y][*x].value())
        .collect();
    Some(Modules { width: code.size, dark })
}

/// Shows `text` as a QR code, named `name` for a reader; nothing where it is too long for one.
pub fn qr(ui: &mut Ui, text: &str, name: &str) -> Option<Response> {
    let id = Id::unique(("qr", text));
    let known = ui.data(|data| data.get_temp::<Option<Arc<Modules>>>(id));
    let code = known.unwrap_or_else(|| {
        let made = modules(text).map(Arc::new);
        ui.data_mut(|data| data.insert_temp(id, made.clone()));
        made
    })?;
    Some(paint(ui, &code, name))
}

/// As [`qr`], for a secret: nothing of it is kept for the next frame.
pub fn once(ui: &mut Ui, text: &str, name: &str) -> Option<Response> {
    modules(text).map(|code| paint(ui, &code, name))
}

fn paint(ui: &mut Ui, code: &Modules, name: &str) -> Response {
    let look = look(ui.ctx());
    // Whole pixels, so that no module is blurred.
    let pixel = 1.0 / ui.ctx().pixels_per_point();
    let modules_across = (code.width + 2 * QUIET) as f32;
    let room = look.size.qr.min(ui.available_width());
    let cell = (room / modules_across / pixel).floor().max(1.0) * pixel;
    let whole = Vec2::splat(cell * modules_across);
    let (rect, response) = ui.allocate_exact_size(whole, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
    ui.painter().rect_filled(rect, look.radius(), look.color.qr_light);
    let origin = rect.min + Vec2::splat(cell * QUIET as f32);
    let origin = pos2((origin.x / pixel).round() * pixel, (origin.y / pixel).round() * pixel);
    let mut mesh = Mesh::default();
    mesh.reserve_vertices(code.dark.len() * 4);
    mesh.reserve_triangles(code.dark.len() * 2);
    for (x, y) in &code.dark {
        let corner = origin + vec2(*x as f32, *y as f32) * cell;
        mesh.add_colored_rect(Rect::from_min_size(corner, Vec2::splat(cell)), look.color.qr_dark);
    }
    ui.painter().add(Shape::mesh(mesh));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_has_its_three_finders() {
        let code = modules("lnbcrt21u1practice").unwrap();
        let dark = |x, y| code.dark.contains(&(x, y));
        for (x, y) in [(0, 0), (code.width - 7, 0), (0, code.width - 7)] {
            for step in 0..7 {
                assert!(dark(x + step, y) && dark(x, y + step), "finder at {x}, {y}");
            }
            assert!(!dark(x + 1, y + 1) && dark(x + 3, y + 3));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn never_panics(text in "\\PC{0,300}") {
            let _code = modules(&text);
        }
    }

    #[test]
    fn too_long_a_text_is_no_code() {
        assert!(modules(&"A".repeat(9_000)).is_none());
    }
}
