//! Icons as strokes on a 16-point grid: no font of symbols, so nothing can be missing.

use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, Vec2, epaint::PathShape, pos2};
use std::f32::consts::TAU;

/// One mark of an icon, in points of the 16-point grid. Angles in turns, clockwise from the right.
enum Mark {
    Line(&'static [(f32, f32)]),
    Shape(&'static [(f32, f32)]),
    Solid(&'static [(f32, f32)]),
    Ring(f32, f32, f32),
    Dot(f32, f32, f32),
    Arc(f32, f32, f32, f32, f32),
}

use Mark::{Arc, Dot, Line, Ring, Shape as Closed, Solid};

macro_rules! icons {
    ($($name:ident => [$($mark:expr),* $(,)?];)*) => {
        /// The icons of the desk.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Icon { $($name),* }

        impl Icon {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),*];

            fn marks(self) -> &'static [Mark] {
                match self { $(Self::$name => &[$($mark),*]),* }
            }
        }
    };
}

icons! {
    Desk => [
        Arc(8.0, 10.0, 6.0, 0.5, 1.0),
        Line(&[(8.0, 10.0), (10.8, 6.6)]),
        Dot(8.0, 10.0, 1.1),
        Line(&[(2.0, 12.8), (14.0, 12.8)]),
    ];
    Market => [
        Line(&[(2.0, 5.2), (12.4, 5.2)]),
        Line(&[(9.8, 2.6), (12.4, 5.2), (9.8, 7.8)]),
        Line(&[(14.0, 10.8), (3.6, 10.8)]),
        Line(&[(6.2, 8.2), (3.6, 10.8), (6.2, 13.4)]),
    ];
    Wallet => [
        Closed(&[(2.2, 4.6), (3.0, 3.6), (12.6, 3.6), (12.6, 5.6), (13.8, 5.6), (13.8, 12.8),
            (2.2, 12.8)]),
        Line(&[(2.2, 5.6), (12.6, 5.6)]),
        Dot(10.9, 9.2, 1.1),
    ];
    Activity => [
        Line(&[(1.6, 8.4), (4.6, 8.4), (6.4, 3.4), (9.4, 12.8), (11.2, 8.4), (14.4, 8.4)]),
    ];
    Search => [Ring(7.0, 7.0, 4.4), Line(&[(10.3, 10.3), (13.8, 13.8)])];
    Menu => [
        Line(&[(2.6, 4.4), (13.4, 4.4)]),
        Line(&[(2.6, 8.0), (13.4, 8.0)]),
        Line(&[(2.6, 11.6), (13.4, 11.6)]),
    ];
    Keyboard => [
        Closed(&[(1.8, 4.0), (14.2, 4.0), (14.2, 12.0), (1.8, 12.0)]),
        Dot(4.6, 6.8, 0.6), Dot(6.9, 6.8, 0.6), Dot(9.1, 6.8, 0.6), Dot(11.4, 6.8, 0.6),
        Line(&[(5.2, 9.6), (10.8, 9.6)]),
    ];
    Sun => [
        Ring(8.0, 8.0, 2.8),
        Line(&[(8.0, 1.6), (8.0, 3.0)]), Line(&[(8.0, 13.0), (8.0, 14.4)]),
        Line(&[(1.6, 8.0), (3.0, 8.0)]), Line(&[(13.0, 8.0), (14.4, 8.0)]),
        Line(&[(3.5, 3.5), (4.5, 4.5)]), Line(&[(11.5, 11.5), (12.5, 12.5)]),
        Line(&[(3.5, 12.5), (4.5, 11.5)]), Line(&[(11.5, 4.5), (12.5, 3.5)]),
    ];
    Moon => [Arc(8.0, 8.0, 5.6, 0.03, 0.72), Arc(10.7, 5.4, 4.2, 0.17, 0.58)];
    Person => [Ring(8.0, 5.4, 2.8), Arc(8.0, 14.6, 5.4, 0.56, 0.94)];
    Power => [Arc(8.0, 8.6, 5.2, -0.14, 0.64), Line(&[(8.0, 2.2), (8.0, 7.6)])];
    Copy => [
        Closed(&[(5.6, 5.6), (13.4, 5.6), (13.4, 13.4), (5.6, 13.4)]),
        Line(&[(3.6, 10.4), (2.6, 10.4), (2.6, 2.6), (10.4, 2.6), (10.4, 3.6)]),
    ];
    Check => [Line(&[(3.0, 8.6), (6.4, 12.0), (13.0, 4.6)])];
    Cross => [Line(&[(4.0, 4.0), (12.0, 12.0)]), Line(&[(12.0, 4.0), (4.0, 12.0)])];
    Plus => [Line(&[(8.0, 3.0), (8.0, 13.0)]), Line(&[(3.0, 8.0), (13.0, 8.0)])];
    Refresh => [
        Arc(8.0, 8.2, 5.4, 0.0, 0.79),
        Line(&[(6.2, 1.0), (9.3, 2.9), (7.2, 5.8)]),
    ];
    ChevronRight => [Line(&[(6.2, 3.8), (10.4, 8.0), (6.2, 12.2)])];
    In => [Line(&[(12.4, 3.6), (4.0, 12.0)]), Line(&[(4.0, 5.6), (4.0, 12.0), (10.4, 12.0)])];
    Out => [Line(&[(3.6, 12.4), (12.0, 4.0)]), Line(&[(5.6, 4.0), (12.0, 4.0), (12.0, 10.4)])];
    Warning => [
        Closed(&[(8.0, 2.4), (14.4, 13.4), (1.6, 13.4)]),
        Line(&[(8.0, 6.4), (8.0, 9.6)]), Dot(8.0, 11.5, 0.8),
    ];
    Stop => [
        Closed(&[(5.6, 2.0), (10.4, 2.0), (14.0, 5.6), (14.0, 10.4), (10.4, 14.0), (5.6, 14.0),
            (2.0, 10.4), (2.0, 5.6)]),
        Line(&[(8.0, 5.0), (8.0, 8.8)]), Dot(8.0, 11.0, 0.8),
    ];
    Eye => [
        Arc(8.0, 13.4, 8.2, 0.62, 0.88), Arc(8.0, 2.6, 8.2, 0.12, 0.38), Ring(8.0, 8.0, 2.0),
    ];
    EyeOff => [
        Arc(8.0, 13.4, 8.2, 0.62, 0.88), Arc(8.0, 2.6, 8.2, 0.12, 0.38), Ring(8.0, 8.0, 2.0),
        Line(&[(3.0, 13.6), (13.0, 2.4)]),
    ];
    Key => [
        Ring(5.2, 10.8, 2.8), Line(&[(7.2, 8.8), (13.2, 2.8)]), Line(&[(11.0, 5.0), (12.8, 6.8)]),
    ];
    Tail => [
        Line(&[(8.0, 2.4), (8.0, 10.4)]), Line(&[(4.6, 7.0), (8.0, 10.4), (11.4, 7.0)]),
        Line(&[(3.0, 13.4), (13.0, 13.4)]),
    ];
    Hourglass => [
        Line(&[(4.0, 2.4), (12.0, 2.4)]), Line(&[(4.0, 13.6), (12.0, 13.6)]),
        Line(&[(5.0, 2.4), (5.0, 4.6), (8.0, 8.0), (5.0, 11.4), (5.0, 13.6)]),
        Line(&[(11.0, 2.4), (11.0, 4.6), (8.0, 8.0), (11.0, 11.4), (11.0, 13.6)]),
    ];
    Receipt => [
        Closed(&[(3.6, 2.0), (12.4, 2.0), (12.4, 14.0), (10.2, 12.6), (8.0, 14.0), (5.8, 12.6),
            (3.6, 14.0)]),
        Line(&[(6.0, 5.4), (10.0, 5.4)]), Line(&[(6.0, 8.4), (10.0, 8.4)]),
    ];
    Mark => [
        Solid(&[(8.0, 1.2), (14.6, 14.4), (8.0, 11.2)]),
        Closed(&[(8.0, 1.2), (14.6, 14.4), (8.0, 11.2), (1.4, 14.4)]),
    ];
}

/// Paints `icon` centred in `rect`, as large as its shorter side allows.
pub fn paint(painter: &Painter, rect: Rect, icon: Icon, width: f32, color: Color32) {
    let side = rect.size().min_elem();
    let origin = rect.center() - Vec2::splat(side / 2.0);
    let scale = side / 16.0;
    let at = |(x, y): (f32, f32)| origin + Vec2::new(x, y) * scale;
    let stroke = Stroke::new(width, color);
    for mark in icon.marks() {
        painter.add(match *mark {
            Line(points) => line(points.iter().map(|point| at(*point)).collect(), stroke),
            Closed(points) => Shape::closed_line(points.iter().map(|p| at(*p)).collect(), stroke),
            Solid(points) => Shape::Path(PathShape::convex_polygon(
                points.iter().map(|p| at(*p)).collect(),
                color,
                Stroke::NONE,
            )),
            Ring(x, y, radius) => Shape::circle_stroke(at((x, y)), radius * scale, stroke),
            Dot(x, y, radius) => Shape::circle_filled(at((x, y)), radius * scale, color),
            Arc(x, y, radius, from, to) => line(
                arc(from, to).map(|(dx, dy)| at((x + dx * radius, y + dy * radius))).collect(),
                stroke,
            ),
        });
    }
}

/// Points of the unit circle between two angles in turns.
fn arc(from: f32, to: f32) -> impl Iterator<Item = (f32, f32)> {
    const STEPS: u8 = 24;
    (0..=STEPS).map(move |step| {
        let turn = from + (to - from) * f32::from(step) / f32::from(STEPS);
        let (sin, cos) = (turn * TAU).sin_cos();
        (cos, sin)
    })
}

/// A line with round ends: egui's own end flat, which looks cut at icon size.
fn line(points: Vec<Pos2>, stroke: Stroke) -> Shape {
    let ends: Vec<Pos2> = points.first().into_iter().chain(points.last()).copied().collect();
    let caps = ends
        .into_iter()
        .map(|end| Shape::circle_filled(pos2(end.x, end.y), stroke.width / 2.0, stroke.color));
    Shape::Vec(std::iter::once(Shape::line(points, stroke)).chain(caps).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_stays_on_its_grid() {
        for icon in Icon::ALL {
            assert!(!icon.marks().is_empty());
            for mark in icon.marks() {
                let points: Vec<(f32, f32)> = match *mark {
                    Line(points) | Closed(points) | Solid(points) => points.to_vec(),
                    Ring(x, y, r) | Dot(x, y, r) => {
                        vec![(x - r, y - r), (x + r, y + r)]
                    }
                    Arc(x, y, r, from, to) => {
                        arc(from, to).map(|(dx, dy)| (x + dx * r, y + dy * r)).collect()
                    }
                };
                for (x, y) in points {
                    assert!(
                        (0.5..=15.5).contains(&x) && (0.5..=15.5).contains(&y),
                        "{icon:?} leaves its grid at {x}, {y}"
                    );
                }
            }
        }
    }
}
