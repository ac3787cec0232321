//! A QR code in an image from the clipboard, read away from the UI thread.

use egui::ColorImage;
use std::sync::{
    Arc,
    mpsc::{Receiver, TryRecvError, sync_channel},
};

/// Larger images are refused unread: a screenshot of three 4K screens is smaller.
const MAX_PIXELS: usize = 64_000_000;
/// The most that is read: no code holds more than 7,089 characters.
const MAX_CHARS: usize = 7_089;

/// Why an image gave no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("The image is too large to look for a QR code in. Copy only the part with the code.")]
    TooLarge,
    #[error("No QR code was found in the image. Copy the code with some white around it.")]
    NoCode,
    #[error("There is more than one QR code in the image. Copy only the one to pay.")]
    Several,
    #[error("The image could not be looked at. Try again.")]
    NoThread,
}

/// A scan on its way.
pub struct Scan(Receiver<Result<String, ScanError>>);

impl Scan {
    /// Looks for a code in `image`, and calls `wake` once it has looked.
    pub fn of(image: Arc<ColorImage>, wake: impl FnOnce() + Send + 'static) -> Self {
        let (send, receive) = sync_channel(1);
        let found = send.clone();
        let spawned = std::thread::Builder::new().name("scan".into()).spawn(move || {
            // The window may be gone by then.
            let _unheard = found.send(read(&image));
            wake();
        });
        if spawned.is_err() {
            let _unheard = send.send(Err(ScanError::NoThread));
        }
        Self(receive)
    }

    /// What was found, once it is.
    pub fn take(&self) -> Option<Result<String, ScanError>> {
        match self.0.try_recv() {
            Ok(found) => Some(found),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(ScanError::NoThread)),
        }
    }
}

/// The text of the one QR code in `image`.
pub fn read(image: &ColorImage) -> Result<String, ScanError> {
    let [width, height] = image.size;
    let pixels = width.checked_mul(height).filter(|pixels| *pixels <= MAX_PIXELS);
    if pixels.ok_or(ScanError::TooLarge)? != image.pixels.len() || image.pixels.is_empty() {
        return Err(ScanError::NoCode);
    }
    let grey = |x: usize, y: usize| {
        let color = image.pixels[y * width + x];
        let [r, g, b] = [color.r(), color.g(), color.b()].map(u32::from);
        // What is see-through stands on white paper.
        let paper = 255 - u32::from(color.a());
        u8::try_from((299 * r + 587 * g + 114 * b) / 1_000 + paper).unwrap_or(u8::MAX)
    };
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
    let mut texts: Vec<String> = prepared
        .detect_grids()
        .iter()
        .filter_map(|grid| grid.decode().ok())
        .map(|(_, text)| text)
        .filter(|text| text.chars().count() <= MAX_CHARS)
        .collect();
    texts.sort();
    texts.dedup();
    match texts.len() {
        0 => Err(ScanError::NoCode),
        1 => texts.pop().ok_or(ScanError::NoCode),
        _ => Err(ScanError::Several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::Color32;
    use proptest::prelude::*;

    /// `text` as a screenshot of a code.
    fn picture(text: &str) -> ColorImage {
        let code = fast_qr::QRBuilder::new(text).build().unwrap();
        let (scale, quiet) = (4, 4);
        let side = (code.size + 2 * quiet) * scale;
        let mut image = ColorImage::filled([side, side], Color32::WHITE);
        for y in 0..code.size * scale {
            for x in 0..code.size * scale {
                if code[y / scale][x / scale].value() {
                    let (x, y) = (x + quiet * scale, y + quiet * scale);
                    image.pixels[y * side + x] = Color32::BLACK;
                }
            }
        }
        image
    }

    #[test]
    fn a_code_is_read_as_it_was_written() {
        for text in ["lnbcrt21u1practice", "bitcoin:bc1qexample?amount=0.001", "alice@example.com"]
        {
            assert_eq!(read(&picture(text)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn an_image_without_a_code_says_so() {
        let blank = ColorImage::filled([64, 64], Color32::WHITE);
        assert_eq!(read(&blank), Err(ScanError::NoCode));
        assert_eq!(read(&ColorImage::default()), Err(ScanError::NoCode));
        let torn = ColorImage { size: [9_000, 9_000], ..ColorImage::default() };
        assert_eq!(read(&torn), Err(ScanError::TooLarge));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn never_panics(
            (width, bytes) in (1..40_usize).prop_flat_map(|width| {
                (Just(width), prop::collection::vec(any::<u8>(), width * 24))
            }),
        ) {
            let pixels = bytes.into_iter().map(Color32::from_gray).collect();
            let _found = read(&ColorImage::new([width, 24], pixels));
        }

        #[test]
        fn a_spoiled_code_never_panics(at in prop::collection::vec(0..10_000_usize, 1..200)) {
            let mut image = picture("lnbcrt21u1practice");
            for place in at {
                let place = place % image.pixels.len();
                image.pixels[place] = Color32::from_gray((place % 256) as u8);
            }
            let _found = read(&image);
        }
    }
}
