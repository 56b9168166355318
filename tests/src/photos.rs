//! Photos as phones take them, from a seed: pictures that have something on
//! them, with EXIF that says who made them and how to turn them.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};
use rand::RngExt;
use rand::rngs::StdRng;

/// What EXIF says of the maker: to be found nowhere but in originals.
pub const MAKER: &[u8] = b"exif-canary";

/// A font with Chinese signs and others (`make setup`).
pub fn font() -> PathBuf {
    let font = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/font.ttc");
    assert!(font.exists(), "no font: make setup");
    font
}

/// A picture with coarse and fine structure.
pub fn picture(rng: &mut StdRng, width: u32, height: u32) -> RgbImage {
    let [red, green, blue]: [u8; 3] = [(); 3].map(|()| rng.random());
    let noise = rng.random_range(1..40u32);
    let mut state: u32 = rng.random();
    RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (state >> 24) % noise;
        let at = |base: u8, along: u32| base.wrapping_add((along + grain) as u8);
        Rgb([at(red, x / 3), at(green, y / 3), at(blue, (x + y) / 5)])
    })
}

/// A JPEG photo with EXIF: turned as `orientation` says (1 to 8).
pub fn photo(rng: &mut StdRng, width: u32, height: u32, orientation: u8) -> Vec<u8> {
    let picture = picture(rng, width, height);
    let mut exif = b"II*\0\x08\0\0\0\x02\0".to_vec();
    let length = MAKER.len() as u8 + 1;
    exif.extend([0x0f, 0x01, 2, 0, length, 0, 0, 0, 38, 0, 0, 0]);
    exif.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    exif.extend([0, 0, 0, 0]);
    exif.extend(MAKER);
    exif.push(0);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 92);
    encoder.set_exif_metadata(exif).expect("takes EXIF");
    encoder
        .write_image(&picture, width, height, ExtendedColorType::Rgb8)
        .expect("encodes");
    bytes
}

/// A picture in a format.
pub fn encoded(picture: RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(picture);
    picture.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}
