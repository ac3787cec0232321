//! From keys to actions: chords, two-key jumps, and letting go where something is being typed.

use egui::{Context, Event, Key, Modifiers};

use crate::{
    actions::{ACTIONS, ActionId, Keys},
    look::look,
    state::State,
};

/// The actions whose keys were pressed this frame; their events are taken out of the input.
pub fn pressed(ctx: &Context, state: &mut State) -> Vec<ActionId> {
    let typing = ctx.text_edit_focused();
    // egui takes the focus from a field on Esc before anybody sees the key.
    let left_field = typing || state.was_typing;
    let focused = ctx.memory(|memory| memory.focused()).is_some();
    let modal = state.palette.is_some() || state.keys_open;
    let reach = Reach { typing, focused, modal };
    let now = ctx.input(|input| input.time);
    let patience = f64::from(look(ctx).motion.sequence_ms) / 1_000.0;
    if state.sequence.is_some_and(|(_, at)| now - at > patience) {
        state.sequence = None;
    }
    let mut ran = Vec::new();
    ctx.input_mut(|input| {
        input.events.retain(|event| {
            let Event::Key { key, pressed: true, modifiers, .. } = event else { return true };
            if left_field && *key == Key::Escape && !modal {
                // Esc first leaves the field; only then does it close or go back.
                return true;
            }
            match find(*key, *modifiers, state, now, &reach) {
                Hit::Run(action) => {
                    ran.push(action);
                    false
                }
                Hit::Started => false,
                Hit::Nothing => true,
            }
        });
        if !ran.is_empty() || state.sequence.is_some() {
            // A field that gets the focus by its key must not also get the letter.
            input.events.retain(|event| typing || !matches!(event, Event::Text(_)));
        }
    });
    ran
}

/// What has the keyboard.
struct Reach {
    typing: bool,
    focused: bool,
    modal: bool,
}

enum Hit {
    Run(ActionId),
    /// The first key of two.
    Started,
    Nothing,
}

fn find(key: Key, modifiers: Modifiers, state: &mut State, now: f64, reach: &Reach) -> Hit {
    if let Some((first, _)) = state.sequence.take()
        && modifiers.is_none()
    {
        let then = Keys::Then(first, key);
        if let Some(action) = ACTIONS.iter().find(|action| action.keys.contains(&then)) {
            return Hit::Run(action.id);
        }
    }
    for action in ACTIONS {
        for keys in action.keys {
            match keys {
                Keys::Chord(wanted, chord) if *chord == key && fits(*wanted, modifiers, key) => {
                    let chorded = wanted.command;
                    if (reach.typing || reach.modal) && !chorded {
                        return Hit::Nothing;
                    }
                    // A focused button keeps Enter and the arrows for itself.
                    let for_widgets = matches!(key, Key::Enter | Key::ArrowDown | Key::ArrowUp);
                    if reach.focused && for_widgets {
                        return Hit::Nothing;
                    }
                    return Hit::Run(action.id);
                }
                Keys::Then(first, _)
                    if *first == key && modifiers.is_none() && !reach.typing && !reach.modal =>
                {
                    state.sequence = Some((key, now));
                    return Hit::Started;
                }
                _ => {}
            }
        }
    }
    Hit::Nothing
}

/// Whether what is held is what is wanted. Signs may need Shift on some keyboards.
fn fits(wanted: Modifiers, held: Modifiers, key: Key) -> bool {
    let sign = matches!(key, Key::Questionmark | Key::Slash | Key::Plus | Key::Equals | Key::Minus);
    wanted.command == held.command
        && (wanted.shift == held.shift || sign)
        && !held.alt
        && (held.command || !held.ctrl)
}
