//! A copy of a picture that says below it what the signed action says: when,
//! where and by whom it was taken. For people who need that on the picture; it
//! proves nothing by itself, and nothing of it is ever sent or signed.
//!
//! 1. [`Font::read`] takes the caller's font: the system of every phone has one
//!    with Chinese signs, of ten megabytes and more, so that none is built in.
//! 2. [`stamp`] makes the display copy and puts a strip below it, so that the
//!    words cover nothing of what was photographed. A line that is too long
//!    goes on in the next.
//!
//! What can go wrong: (1) not a font; (2) a sign that the font does not have is
//! an error, since an empty box would pass for a word; whatever is wrong with
//! the picture ([`PictureError`]).

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont, point};
use image::{DynamicImage, Rgb, RgbImage, imageops};

use super::picture::{self, PictureError};
use crate::domain::evidence::Media;

/// Largest font file that is read, bytes: those with all Chinese, Japanese and
/// Korean signs in several weights have some 80 million.
pub const MAX_FONT_BYTES: u64 = 128 << 20;

/// Narrowest copy, pixels: a smaller picture stands in the middle above its
/// strip.
const MIN_WIDTH: u32 = 320;
/// Height of a sign as a part of the width of the copy, and its bounds, pixels.
const SIGNS_ACROSS: u32 = 40;
const SIGN_PX: (u32, u32) = (14, 40);
const GROUND: Rgb<u8> = Rgb([24, 24, 24]);
const INK: u8 = 245;

/// Why there is no such copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatermarkError {
    /// The picture is refused.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The font does not read.
    #[error("not a TrueType or OpenType font")]
    NotAFont,
    /// The font lacks a sign.
    #[error("the font has no sign for {0:?}")]
    NoSign(char),
}

/// Signs to write with.
pub struct Font<'a>(FontRef<'a>);

impl<'a> Font<'a> {
    /// The font of a file, of a collection the first.
    ///
    /// # Errors
    /// [`WatermarkError::NotAFont`].
    pub fn read(file: &'a [u8]) -> Result<Self, WatermarkError> {
        let font = FontRef::try_from_slice(file).map_err(|_| WatermarkError::NotAFont)?;
        Ok(Self(font))
    }
}

/// The display copy of a picture with these lines below it, JPEG.
///
/// # Errors
/// See [`WatermarkError`].
pub fn stamp(
    media: Media,
    bytes: &[u8],
    font: &Font<'_>,
    lines: &[String],
) -> Result<Vec<u8>, WatermarkError> {
    let picture = picture::display(media, bytes)?;
    let width = picture.width().max(MIN_WIDTH);
    let pen = Pen::of_width(&font.0, width);
    let lines = pen.wrapped(lines)?;
    let height = picture.height() + pen.height_of(lines.len());
    let mut copy = RgbImage::from_pixel(width, height, GROUND);
    let left = i64::from((width - picture.width()) / 2);
    imageops::replace(&mut copy, &picture, left, 0);
    let mut baseline = picture.height() as f32 + pen.margin + pen.font.ascent();
    for line in &lines {
        pen.write(&mut copy, line, baseline);
        baseline += pen.line;
    }
    Ok(picture::jpeg(&DynamicImage::ImageRgb8(copy))?)
}

/// A font at one size, on a strip of one width. All in pixels.
struct Pen<'a, 'b> {
    font: ab_glyph::PxScaleFont<&'a FontRef<'b>>,
    width: f32,
    margin: f32,
    /// From one baseline to the next.
    line: f32,
}

impl<'a, 'b> Pen<'a, 'b> {
    fn of_width(font: &'a FontRef<'b>, width: u32) -> Self {
        let sign = (width / SIGNS_ACROSS).clamp(SIGN_PX.0, SIGN_PX.1) as f32;
        let font = font.into_scaled(PxScale::from(sign));
        Self {
            width: width as f32,
            margin: sign / 2.0,
            line: font.height() + font.line_gap().max(sign / 5.0),
            font,
        }
    }

    fn height_of(&self, lines: usize) -> u32 {
        (2.0 * self.margin + self.line * lines as f32).ceil() as u32
    }

    /// Lines that fit, broken where the next sign would not.
    fn wrapped(&self, lines: &[String]) -> Result<Vec<String>, WatermarkError> {
        let room = self.width - 2.0 * self.margin;
        let mut wrapped = Vec::new();
        for line in lines {
            let (mut fits, mut used) = (String::new(), 0.0);
            for sign in line.chars() {
                let glyph = self.font.glyph_id(sign);
                if glyph.0 == 0 {
                    return Err(WatermarkError::NoSign(sign));
                }
                let advance = self.font.h_advance(glyph);
                if used + advance > room && !fits.is_empty() {
                    wrapped.push(std::mem::take(&mut fits));
                    used = 0.0;
                }
                fits.push(sign);
                used += advance;
            }
            wrapped.push(fits);
        }
        Ok(wrapped)
    }

    fn write(&self, copy: &mut RgbImage, line: &str, baseline: f32) {
        let mut x = self.margin;
        for sign in line.chars() {
            let id = self.font.glyph_id(sign);
            let glyph = id.with_scale_and_position(self.font.scale(), point(x, baseline));
            x += self.font.h_advance(id);
            // A space has no outline.
            let Some(outline) = self.font.outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            outline.draw(|dx, dy, cover| {
                // Signs may stand out of their box; what would leave the copy is cut.
                let at = |corner: f32, by: u32| u32::try_from(corner as i64 + i64::from(by));
                if let (Ok(x), Ok(y)) = (at(corner.x, dx), at(corner.y, dy))
                    && let Some(pixel) = copy.get_pixel_mut_checked(x, y)
                {
                    for channel in &mut pixel.0 {
                        let ground = f32::from(*channel);
                        *channel = (ground + (f32::from(INK) - ground) * cover.min(1.0)) as u8;
                    }
                }
            });
        }
    }
}
