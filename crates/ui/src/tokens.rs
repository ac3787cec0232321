//! Design tokens: every size, duration and colour of the desk, read from `assets/tokens.toml`.

use egui::Color32;
use serde::{Deserialize, Deserializer, de::Error};

/// The token file as it was when this program was built.
pub const EMBEDDED: &str = include_str!("../../../assets/tokens.toml");

/// Why a token file cannot be used. The one before it stays in force.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token file does not read: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("the token file cannot be opened: {0}")]
    File(#[from] std::io::Error),
    #[error("the token {0} is not a length above zero")]
    Length(&'static str),
}

/// The whole token file.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    pub text: TextSizes,
    pub space: Space,
    pub size: Sizes,
    pub motion: Motion,
    pub dark: Palette,
    pub light: Palette,
}

macro_rules! lengths {
    ($(#[$doc:meta])* $name:ident { $($field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $(pub $field: f32),* }

        impl $name {
            fn check(&self) -> Result<(), TokenError> {
                $(if !(self.$field.is_finite() && self.$field > 0.0) {
                    return Err(TokenError::Length(stringify!($field)));
                })*
                Ok(())
            }
        }
    };
}

lengths! {
    /// Font sizes in points.
    TextSizes { caption, body, title, heading, hero }
}
lengths! {
    /// The four-point scale.
    Space { xs, s, m, l, xl, xxl }
}
lengths! {
    /// Everything else that has a length, in points.
    Sizes {
        hairline, radius, radius_small, row, row_compact, control, control_large, icon,
        icon_stroke, rail, rail_narrow, rail_item, top_bar, status_line, inspector,
        inspector_min, inspector_max, narrow_below, tight_below, content_max, side_column, form, field,
        field_short, search, palette, palette_top, dialog, qr, tooltip, toast, dot, badge,
        pulse_ring, shadow_blur, shadow_drop, column_time, column_day_time, column_state,
        column_amount, column_peer, column_position, column_stream, column_type,
    }
}

/// Durations in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Motion {
    pub quick_ms: u32,
    pub pulse_step_ms: u32,
    pub pulse_steps: u32,
    pub toast_ms: u32,
    pub sequence_ms: u32,
    pub frame_ms: u32,
    pub slow_after_ms: u32,
}

macro_rules! palette {
    ($($field:ident),* $(,)?) => {
        /// The colours of one theme.
        #[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Palette { $(#[serde(deserialize_with = "colour")] pub $field: Color32),* }
    };
}

palette! {
    canvas, surface, raised, field, hover, pressed, selected, border, border_strong, text, muted,
    faint, accent, accent_hover, accent_pressed, on_accent, accent_text, good, good_soft, waiting,
    waiting_soft, danger, danger_soft, danger_fill, danger_fill_hover, practice, practice_soft,
    neutral_soft, focus, selection, backdrop, shadow, qr_dark, qr_light,
}

fn colour<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Color32, D::Error> {
    let text = String::deserialize(deserializer)?;
    Color32::from_hex(&text)
        .map_err(|_| D::Error::custom(format!("{text:?} is not #rrggbb or #rrggbbaa")))
}

impl Tokens {
    /// Reads and checks a token file.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let tokens: Self = toml::from_str(text)?;
        tokens.text.check()?;
        tokens.space.check()?;
        tokens.size.check()?;
        Ok(tokens)
    }

    /// The tokens this program was built with.
    pub fn embedded() -> Self {
        Self::parse(EMBEDDED).expect("BUG: a test reads the embedded token file")
    }

    pub fn palette(&self, theme: egui::Theme) -> &Palette {
        match theme {
            egui::Theme::Dark => &self.dark,
            egui::Theme::Light => &self.light,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Relative luminance (WCAG 2.2).
    fn luminance(colour: Color32) -> f64 {
        let channel = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(colour.r()) + 0.7152 * channel(colour.g()) + 0.0722 * channel(colour.b())
    }

    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_colour_is_readable_on_every_ground_it_meets() {
        let tokens = Tokens::embedded();
        for (theme, p) in [("dark", tokens.dark), ("light", tokens.light)] {
            let grounds = [
                ("canvas", p.canvas),
                ("surface", p.surface),
                ("raised", p.raised),
                ("field", p.field),
                ("hover", p.hover),
                ("selected", p.selected),
            ];
            let inks = [
                ("text", p.text),
                ("muted", p.muted),
                ("faint", p.faint),
                ("accent_text", p.accent_text),
                ("good", p.good),
                ("waiting", p.waiting),
                ("danger", p.danger),
                ("practice", p.practice),
            ];
            let mut pairs = vec![
                ("on_accent", p.on_accent, "accent", p.accent),
                ("on_accent", p.on_accent, "accent_hover", p.accent_hover),
                ("on_accent", p.on_accent, "accent_pressed", p.accent_pressed),
                ("on_accent", p.on_accent, "danger_fill", p.danger_fill),
                ("on_accent", p.on_accent, "danger_fill_hover", p.danger_fill_hover),
                ("good", p.good, "good_soft", p.good_soft),
                ("waiting", p.waiting, "waiting_soft", p.waiting_soft),
                ("danger", p.danger, "danger_soft", p.danger_soft),
                ("practice", p.practice, "practice_soft", p.practice_soft),
                ("text", p.text, "danger_soft", p.danger_soft),
                ("text", p.text, "practice_soft", p.practice_soft),
                ("text", p.text, "waiting_soft", p.waiting_soft),
                ("text", p.text, "pressed", p.pressed),
                ("text", p.text, "selection", p.selection),
                ("muted", p.muted, "neutral_soft", p.neutral_soft),
                ("text", p.text, "neutral_soft", p.neutral_soft),
                ("qr_dark", p.qr_dark, "qr_light", p.qr_light),
            ];
            for ink in inks {
                pairs.extend(grounds.iter().map(|ground| (ink.0, ink.1, ground.0, ground.1)));
            }
            for (ink_name, ink, ground_name, ground) in pairs {
                let ratio = contrast(ink, ground);
                assert!(
                    ratio >= 4.5,
                    "{theme}: {ink_name} on {ground_name} has a contrast of only {ratio:.2}"
                );
            }
            // WCAG 1.4.11: what marks focus and the edge of a control.
            for (name, ground) in grounds {
                let ratio = contrast(p.focus, ground);
                assert!(ratio >= 3.0, "{theme}: focus on {name} {ratio:.2}");
            }
        }
    }

    #[test]
    fn a_bad_file_is_refused_with_a_reason() {
        let missing = EMBEDDED.replace("[motion]", "[emotion]");
        assert!(matches!(Tokens::parse(&missing), Err(TokenError::Syntax(_))));
        let colourless = EMBEDDED.replace("\"#0e1012\"", "\"blackish\"");
        let error = Tokens::parse(&colourless).unwrap_err().to_string();
        assert!(error.contains("blackish"), "{error}");
        let negative = EMBEDDED.replace("rail = 168.0", "rail = -1.0");
        assert!(matches!(Tokens::parse(&negative), Err(TokenError::Length("rail"))));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}", at in 0..EMBEDDED.len()) {
            let _refused = Tokens::parse(&text);
            let cut: String = EMBEDDED.chars().take(at).collect();
            let _refused = Tokens::parse(&(cut + &text));
        }
    }
}
