//! The look in force: tokens, the theme's palette and fonts, and how egui's own widgets wear them.

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Id, Margin,
    Shadow, Stroke, Style, TextStyle, Theme, Vec2,
    style::{KineticScrollStyle, ScrollAnimation, ScrollStyle, Selection, WidgetVisuals},
};
use std::{sync::Arc, time::Duration};

use crate::tokens::{Motion, Palette, Sizes, Space, TextSizes, Tokens};

const SANS: &[u8] = include_bytes!("../../../assets/fonts/Inter-Regular.ttf");
const SANS_STRONG: &[u8] = include_bytes!("../../../assets/fonts/Inter-SemiBold.ttf");
const MONO: &[u8] = include_bytes!("../../../assets/fonts/JetBrainsMono-Regular.ttf");
const STRONG: &str = "strong";

/// What widgets draw with. One per theme, shared by pointer.
#[derive(Clone, Debug)]
pub struct Look {
    pub color: Palette,
    pub text: TextSizes,
    pub space: Space,
    pub size: Sizes,
    pub motion: Motion,
    pub reduced_motion: bool,
}

/// How much room the window has, zoom taken into account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// A small window at a large zoom.
    Tight,
    Narrow,
    Wide,
}

/// A step of the type scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    Caption,
    CaptionStrong,
    Body,
    Strong,
    Title,
    Heading,
    Hero,
    Mono,
    MonoCaption,
}

impl Look {
    pub fn font(&self, face: Face) -> FontId {
        let strong = || FontFamily::Name(STRONG.into());
        match face {
            Face::Caption => FontId::proportional(self.text.caption),
            Face::CaptionStrong => FontId::new(self.text.caption, strong()),
            Face::Body => FontId::proportional(self.text.body),
            Face::Strong => FontId::new(self.text.body, strong()),
            Face::Title => FontId::new(self.text.title, strong()),
            Face::Heading => FontId::new(self.text.heading, strong()),
            Face::Hero => FontId::new(self.text.hero, strong()),
            Face::Mono => FontId::monospace(self.text.caption),
            Face::MonoCaption => FontId::monospace(self.text.caption - 1.0),
        }
    }

    /// The room there is in `ctx`.
    pub fn room(&self, ctx: &Context) -> Room {
        match ctx.content_rect().width() {
            width if width < self.size.tight_below => Room::Tight,
            width if width < self.size.narrow_below => Room::Narrow,
            _ => Room::Wide,
        }
    }

    pub fn hairline(&self) -> Stroke {
        Stroke::new(self.size.hairline, self.color.border)
    }

    pub fn radius(&self) -> CornerRadius {
        CornerRadius::same(whole(self.size.radius))
    }

    pub fn radius_small(&self) -> CornerRadius {
        CornerRadius::same(whole(self.size.radius_small))
    }

    pub fn margin(&self, x: f32, y: f32) -> Margin {
        Margin::symmetric(whole_signed(x), whole_signed(y))
    }

    /// The shadow under what floats: menus, dialogs, tooltips.
    pub fn shadow(&self) -> Shadow {
        Shadow {
            offset: [0, whole_signed(self.size.shadow_drop)],
            blur: whole(self.size.shadow_blur),
            spread: 0,
            color: self.color.shadow,
        }
    }

    pub fn frame_time(&self) -> Duration {
        Duration::from_millis(self.motion.frame_ms.into())
    }

    fn style(&self, theme: Theme) -> Style {
        let mut style = Style { visuals: theme.default_visuals(), ..Style::default() };
        style.text_styles = [
            (TextStyle::Small, self.font(Face::Caption)),
            (TextStyle::Body, self.font(Face::Body)),
            (TextStyle::Button, self.font(Face::Body)),
            (TextStyle::Monospace, self.font(Face::Mono)),
            (TextStyle::Heading, self.font(Face::Heading)),
        ]
        .into();
        self.dress_spacing(&mut style);
        self.dress_visuals(&mut style);
        style
    }

    fn dress_spacing(&self, style: &mut Style) {
        let space = &self.space;
        style.spacing.item_spacing = Vec2::new(space.s, space.s);
        style.spacing.button_padding = Vec2::new(space.s, space.xs);
        style.spacing.interact_size.y = self.size.control;
        style.spacing.window_margin = Margin::same(whole_signed(space.l));
        style.spacing.menu_margin = Margin::same(whole_signed(space.xs));
        style.spacing.icon_width = self.size.icon;
        style.spacing.tooltip_width = self.size.tooltip;
        style.spacing.text_edit_width = self.size.field;
        style.spacing.scroll = ScrollStyle {
            bar_width: space.s,
            floating_width: space.xs,
            kinetic: KineticScrollStyle { rubber_band: false, ..Default::default() },
            ..ScrollStyle::floating()
        };
        let quick = self.motion.quick_ms as f32 / 1_000.0;
        style.animation_time = if self.reduced_motion { 0.0 } else { quick };
        style.scroll_animation = if self.reduced_motion {
            ScrollAnimation::none()
        } else {
            ScrollAnimation::duration(quick)
        };
        style.interaction.selectable_labels = false;
        style.url_in_tooltip = true;
    }

    fn dress_visuals(&self, style: &mut Style) {
        let (color, radius) = (&self.color, self.radius());
        let ink = |color: Color32| Stroke::new(self.size.hairline, color);
        let rest = WidgetVisuals {
            bg_fill: color.raised,
            weak_bg_fill: color.raised,
            bg_stroke: ink(color.border),
            corner_radius: radius,
            fg_stroke: ink(color.text),
            expansion: 0.0,
        };
        let visuals = &mut style.visuals;
        visuals.widgets.noninteractive = rest;
        visuals.widgets.inactive = WidgetVisuals { bg_stroke: ink(color.border_strong), ..rest };
        visuals.widgets.hovered = WidgetVisuals {
            bg_fill: color.hover,
            weak_bg_fill: color.hover,
            bg_stroke: ink(color.faint),
            ..rest
        };
        visuals.widgets.active = WidgetVisuals {
            bg_fill: color.pressed,
            weak_bg_fill: color.pressed,
            bg_stroke: ink(color.focus),
            ..rest
        };
        visuals.widgets.open = visuals.widgets.hovered;
        visuals.selection = Selection { bg_fill: color.selection, stroke: ink(color.focus) };
        visuals.weak_text_color = Some(color.faint);
        visuals.hyperlink_color = color.accent_text;
        visuals.faint_bg_color = color.hover;
        visuals.extreme_bg_color = color.field;
        visuals.text_edit_bg_color = Some(color.field);
        visuals.code_bg_color = color.neutral_soft;
        visuals.warn_fg_color = color.waiting;
        visuals.error_fg_color = color.danger;
        visuals.window_fill = color.raised;
        visuals.window_stroke = ink(color.border_strong);
        visuals.window_corner_radius = radius;
        visuals.menu_corner_radius = radius;
        visuals.window_shadow = self.shadow();
        visuals.popup_shadow = self.shadow();
        visuals.panel_fill = color.surface;
        visuals.text_cursor.stroke = Stroke::new(self.size.icon_stroke, color.focus);
        visuals.text_cursor.blink = false;
    }
}

/// Lengths of the token file are whole and small where egui wants bytes.
fn whole(length: f32) -> u8 {
    length.round().clamp(0.0, 255.0) as u8
}

fn whole_signed(length: f32) -> i8 {
    length.round().clamp(0.0, 127.0) as i8
}

fn slot(theme: Theme) -> Id {
    Id::unique(("look", theme == Theme::Dark))
}

/// Dresses `ctx` in `tokens`: both themes at once, so that a switch costs nothing.
pub fn wear(ctx: &Context, tokens: &Tokens, reduced_motion: bool) {
    for theme in [Theme::Dark, Theme::Light] {
        let look = Look {
            color: *tokens.palette(theme),
            text: tokens.text,
            space: tokens.space,
            size: tokens.size,
            motion: tokens.motion,
            reduced_motion,
        };
        ctx.set_style_of(theme, look.style(theme));
        ctx.data_mut(|data| data.insert_temp(slot(theme), Arc::new(look)));
    }
    ctx.request_repaint();
}

/// The look of the theme in force. [`wear`] has been called when a screen is drawn.
pub fn look(ctx: &Context) -> Arc<Look> {
    let theme = ctx.theme();
    ctx.data(|data| data.get_temp::<Arc<Look>>(slot(theme)))
        .expect("BUG: DeskApp::new wears the tokens before the first frame")
}

/// Installs the fonts that ship with the program: nothing depends on what the system has.
pub fn install_fonts(ctx: &Context) {
    let mut fonts = FontDefinitions::empty();
    let mut add = |name: &str, bytes: &'static [u8]| {
        fonts.font_data.insert(name.into(), Arc::new(FontData::from_static(bytes)));
    };
    add("inter", SANS);
    add("inter-strong", SANS_STRONG);
    add("jetbrains-mono", MONO);
    let families = [
        (FontFamily::Proportional, ["inter", "jetbrains-mono"]),
        (FontFamily::Name(STRONG.into()), ["inter-strong", "inter"]),
        (FontFamily::Monospace, ["jetbrains-mono", "inter"]),
    ];
    for (family, names) in families {
        fonts.families.insert(family, names.map(String::from).to_vec());
    }
    ctx.set_fonts(fonts);
}
