//! Looking at what somebody took: which type it has, whether it is a picture,
//! and smaller copies of it.
//!
//! 1. [`media_of`] reads the type from the bytes, whatever the file is called.
//! 2. [`look`] reads the header of a picture: its size, before anything is
//!    unpacked. A picture larger than [`MAX_PIXELS`] is refused here.
//! 3. [`copies`] unpacks it once and makes a display copy and a thumbnail, both
//!    JPEG, turned upright as EXIF says, without EXIF: where and when is in the
//!    signed action. [`thumbnail`] makes only that.
//!
//! What can go wrong: (1–3) not a picture, cut off, damaged, too many pixels:
//! [`PictureError`], within the memory that [`MAX_PIXELS`] stands for.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use crate::domain::evidence::{MAX_THUMBNAIL_BYTES, Media};

/// Most pixels of a picture; phones take 12 to 50 million. Unpacked they have
/// three bytes each.
pub const MAX_PIXELS: u64 = 52_000_000;
/// Longest side of a picture, pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Longest side of a display copy, pixels.
pub const DISPLAY_SIDE: u32 = 1_600;
/// Longest side of a thumbnail, pixels.
pub const THUMBNAIL_SIDE: u32 = 256;

/// Most bytes that a decoder may take.
const MAX_DECODED: u64 = MAX_PIXELS * 4;
const DISPLAY_QUALITY: u8 = 82;
/// What is tried until a thumbnail is small enough.
const THUMBNAIL_QUALITIES: [u8; 4] = [75, 55, 35, 20];

/// A picture that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Not a picture of a type that is read here.
    #[error("not a JPEG, PNG or WebP picture")]
    NotAPicture,
    /// It has too many pixels.
    #[error("the picture has {width} × {height} pixels, too many")]
    TooManyPixels {
        /// Its width by its header.
        width: u32,
        /// Its height by its header.
        height: u32,
    },
    /// It is cut off or damaged.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
}

/// Smaller copies of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copies {
    /// JPEG, its longest side at most [`DISPLAY_SIDE`].
    pub display: Vec<u8>,
    /// JPEG of at most [`MAX_THUMBNAIL_BYTES`].
    pub thumbnail: Vec<u8>,
}

/// The type of bytes, by what they begin with; `None` if it is none that is
/// taken. Text is what reads as UTF-8 and has no control characters.
pub fn media_of(bytes: &[u8]) -> Option<Media> {
    let at = |from: usize, what: &[u8]| bytes.get(from..from + what.len()) == Some(what);
    Some(match bytes {
        _ if at(0, &[0xff, 0xd8, 0xff]) => Media::Jpeg,
        _ if at(0, b"\x89PNG\r\n\x1a\n") => Media::Png,
        _ if at(0, b"RIFF") && at(8, b"WEBP") => Media::WebP,
        _ if at(0, b"RIFF") && at(8, b"WAVE") => Media::Wav,
        _ if [b"M4A ", b"mp42", b"isom", b"iso2", b"3gp4", b"3gp5"]
            .iter()
            .any(|brand| at(4, b"ftyp") && at(8, *brand)) =>
        {
            Media::M4a
        }
        _ if at(0, b"ID3") => Media::Mp3,
        [0xff, second, ..] if second & 0xe6 == 0xe2 => Media::Mp3,
        _ if at(0, b"OggS") => Media::Ogg,
        _ if at(0, b"#!AMR") => Media::Amr,
        _ if at(0, b"%PDF-") => Media::Pdf,
        _ => {
            let text = std::str::from_utf8(bytes).ok()?;
            let odd = |sign: char| sign.is_control() && !matches!(sign, '\n' | '\r' | '\t');
            (!text.is_empty() && !text.contains(odd)).then_some(Media::Text)?
        }
    })
}

/// Width and height of a picture by its header, if they may be unpacked.
///
/// # Errors
/// See [`PictureError`].
pub fn look(media: Media, bytes: &[u8]) -> Result<(u32, u32), PictureError> {
    let (width, height) = reader(media, bytes)?.into_dimensions().map_err(damaged)?;
    let pixels = u64::from(width) * u64::from(height);
    match pixels > MAX_PIXELS || width.max(height) > MAX_SIDE {
        true => Err(PictureError::TooManyPixels { width, height }),
        false => Ok((width, height)),
    }
}

/// A display copy and a thumbnail.
///
/// # Errors
/// See [`PictureError`].
pub fn copies(media: Media, bytes: &[u8]) -> Result<Copies, PictureError> {
    let display = DynamicImage::ImageRgb8(display(media, bytes)?);
    Ok(Copies {
        display: jpeg(&display)?,
        thumbnail: small_enough(&display)?,
    })
}

/// The pixels of a display copy.
pub(super) fn display(media: Media, bytes: &[u8]) -> Result<RgbImage, PictureError> {
    let (small, orientation) = decoded(media, bytes, DISPLAY_SIDE)?;
    Ok(upright(small, orientation))
}

/// A thumbnail alone: JPEG of at most [`MAX_THUMBNAIL_BYTES`].
///
/// # Errors
/// See [`PictureError`].
pub fn thumbnail(media: Media, bytes: &[u8]) -> Result<Vec<u8>, PictureError> {
    let (small, orientation) = decoded(media, bytes, THUMBNAIL_SIDE)?;
    small_enough(&DynamicImage::ImageRgb8(upright(small, orientation)))
}

/// The picture no larger than `side`, and how it is to be turned.
fn decoded(
    media: Media,
    bytes: &[u8],
    side: u32,
) -> Result<(DynamicImage, Orientation), PictureError> {
    let (width, height) = look(media, bytes)?;
    if media == Media::Jpeg && !ends(bytes) {
        return Err(PictureError::Damaged("it is cut off".to_owned()));
    }
    let mut decoder = reader(media, bytes)?.into_decoder().map_err(damaged)?;
    // Sixteen bits a channel, for example.
    if decoder.total_bytes() > MAX_DECODED {
        return Err(PictureError::TooManyPixels { width, height });
    }
    // What EXIF says amiss is no reason to refuse a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let whole = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    let small = match width.max(height) > side {
        true => whole.thumbnail(side, side),
        false => whole,
    };
    Ok((small, orientation))
}

fn upright(mut picture: DynamicImage, orientation: Orientation) -> RgbImage {
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

fn small_enough(picture: &DynamicImage) -> Result<Vec<u8>, PictureError> {
    let mut side = THUMBNAIL_SIDE;
    loop {
        let small = match picture.width().max(picture.height()) > side {
            true => picture.thumbnail(side, side),
            false => picture.clone(),
        };
        for quality in THUMBNAIL_QUALITIES {
            let bytes = encoded(&small, quality)?;
            if bytes.len() <= MAX_THUMBNAIL_BYTES {
                return Ok(bytes);
            }
        }
        // At 64 pixels three bytes for each of them would fit.
        side /= 2;
    }
}

/// A picture of the quality of display copies.
pub(super) fn jpeg(picture: &DynamicImage) -> Result<Vec<u8>, PictureError> {
    encoded(picture, DISPLAY_QUALITY)
}

fn encoded(picture: &DynamicImage, quality: u8) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))
        .map_err(damaged)?;
    Ok(bytes)
}

fn reader(media: Media, bytes: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, PictureError> {
    let format = match media {
        Media::Jpeg => ImageFormat::Jpeg,
        Media::Png => ImageFormat::Png,
        Media::WebP => ImageFormat::WebP,
        _ => return Err(PictureError::NotAPicture),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    Ok(reader)
}

fn damaged(error: ImageError) -> PictureError {
    PictureError::Damaged(error.to_string().chars().take(200).collect())
}

/// Whether a JPEG goes on to its end: the decoder fills what is missing with
/// grey and says nothing. Walks from segment to segment (ITU-T T.81, annex B).
fn ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        let Some(marker) = bytes.get(at..).and_then(|rest| {
            let fill = rest.iter().position(|byte| *byte != 0xff)?;
            (fill > 0).then_some(())?;
            at += fill;
            rest.get(fill)
        }) else {
            return false;
        };
        at += 1;
        match marker {
            0xd9 => return true,
            // Without a length.
            0x01 | 0xd0..=0xd8 => {}
            marker => {
                let Some([high, low]) = bytes.get(at..at + 2) else {
                    return false;
                };
                at += usize::from(u16::from_be_bytes([*high, *low])).max(2);
                if *marker == 0xda {
                    // Compressed data: up to a marker that does not belong to it.
                    let Some(rest) = bytes.get(at..) else {
                        return false;
                    };
                    let belongs = |pair: &[u8]| matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff);
                    let mut pairs = rest.windows(2);
                    let Some(scan) = pairs.position(|pair| pair[0] == 0xff && !belongs(pair))
                    else {
                        return false;
                    };
                    at += scan;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageEncoder, Rgb};

    /// Red on the left, blue on the right.
    fn flag(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| match x < width / 2 {
            true => Rgb([220, 20, 20]),
            false => Rgb([20, 20, 220]),
        })
    }

    fn in_format(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = DynamicImage::ImageRgb8(picture.clone());
        picture.write_to(&mut bytes, format).expect("encodes");
        bytes.into_inner()
    }

    /// EXIF that says how to turn the picture, and a maker's name to find again.
    fn with_exif(picture: &RgbImage, orientation: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x02\0".to_vec();
        exif.extend([0x0f, 0x01, 2, 0, 7, 0, 0, 0, 38, 0, 0, 0]);
        exif.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
        exif.extend([0, 0, 0, 0]);
        exif.extend(b"CANARY\0");
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
        encoder.set_exif_metadata(exif).expect("takes EXIF");
        let (width, height) = picture.dimensions();
        encoder
            .write_image(picture, width, height, image::ExtendedColorType::Rgb8)
            .expect("encodes");
        bytes
    }

    fn is_red(picture: &RgbImage, x: u32, y: u32) -> bool {
        let Rgb([red, _, blue]) = *picture.get_pixel(x, y);
        red > 150 && blue < 100
    }

    #[test]
    fn copies_are_small_upright_and_without_exif() {
        // What could go wrong: a picture that lies on its side, and a position
        // that leaves the phone inside the picture.
        let turned = with_exif(&flag(2_000, 1_000), 6);
        assert!(turned.windows(6).any(|window| window == b"CANARY"));
        let copies = copies(Media::Jpeg, &turned).expect("copies");
        for (copy, width, height) in [(&copies.display, 800, 1_600), (&copies.thumbnail, 128, 256)]
        {
            assert!(!copy.windows(6).any(|window| window == b"CANARY"));
            let read = image::load_from_memory(copy).expect("reads").into_rgb8();
            assert_eq!(read.dimensions(), (width, height));
            // A quarter turn clockwise: what was left is on top.
            assert!(is_red(&read, width / 2, 10) && !is_red(&read, width / 2, height - 10));
        }
    }

    #[test]
    fn every_type_that_is_taken_is_known_by_its_bytes() {
        let picture = flag(40, 30);
        for (format, media) in [
            (ImageFormat::Jpeg, Media::Jpeg),
            (ImageFormat::Png, Media::Png),
            (ImageFormat::WebP, Media::WebP),
        ] {
            let bytes = in_format(&picture, format);
            assert_eq!(media_of(&bytes), Some(media));
            assert_eq!(look(media, &bytes), Ok((40, 30)));
            assert!(thumbnail(media, &bytes).expect("a thumbnail").len() <= MAX_THUMBNAIL_BYTES);
        }
        for (bytes, media) in [
            (&b"\0\0\0\x20ftypM4A \0\0\0\0"[..], Some(Media::M4a)),
            (b"OggS\0\x02", Some(Media::Ogg)),
            (b"#!AMR\n", Some(Media::Amr)),
            (b"RIFF\x24\0\0\0WAVEfmt ", Some(Media::Wav)),
            (b"ID3\x04", Some(Media::Mp3)),
            (b"%PDF-1.7\n", Some(Media::Pdf)),
            ("现场情况说明\n".as_bytes(), Some(Media::Text)),
            (b"MZ\x90\0\x03", None),
            (b"", None),
        ] {
            assert_eq!(media_of(bytes), media, "{bytes:?}");
        }
    }

    #[test]
    fn noise_makes_a_small_thumbnail_too() {
        let mut state = 1u32;
        let noise = RgbImage::from_fn(256, 256, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, c, _] = state.to_be_bytes();
            Rgb([a, b, c])
        });
        let bytes = in_format(&noise, ImageFormat::Png);
        let small = thumbnail(Media::Png, &bytes).expect("a thumbnail");
        assert!(small.len() <= MAX_THUMBNAIL_BYTES, "{}", small.len());
    }

    #[test]
    fn a_jpeg_that_is_cut_anywhere_is_refused() {
        let whole = with_exif(&flag(300, 200), 1);
        assert!(copies(Media::Jpeg, &whole).is_ok());
        // What phones put behind the picture is not part of it.
        let longer = [&whole[..], &[0x55; 900]].concat();
        assert!(copies(Media::Jpeg, &longer).is_ok());
        for end in (0..whole.len()).step_by(37) {
            assert!(copies(Media::Jpeg, &whole[..end]).is_err(), "{end} bytes");
        }
    }
}
