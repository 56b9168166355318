//! What is no picture, or not a whole one, is refused, and costs little; counted
//! by the allocator of this process, so this file has one test and no thread
//! beside it.

use image::ImageFormat;
use peak_alloc::PeakAlloc;
use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::domain::evidence::Shows;
use shaodao_core::evidence::picture::{PictureError, copies, look, media_of};
use shaodao_tests::photos::{encoded, photo, picture};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What looking at something bad may cost beyond a few times its own bytes.
const MOST_BYTES: usize = 4 << 20;
/// What a good photo may cost for each of its pixels: unpacked, and once more
/// while it is made smaller.
const BYTES_A_PIXEL: usize = 8;

/// Whether a phone takes it as a photo, as `Device::attach` asks.
fn refused(bytes: &[u8]) -> Option<String> {
    let media = media_of(bytes).filter(|media| media.fits(Shows::Scene));
    let Some(media) = media else {
        return Some("wrong type".to_owned());
    };
    copies(media, bytes).err().map(|error| error.to_string())
}

/// The bytes with a few of them replaced.
fn with(bytes: &[u8], at: usize, by: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at..at + by.len()].copy_from_slice(by);
    changed
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    let mut windows = bytes.windows(what.len());
    windows.position(|window| window == what).expect("is there")
}

/// A PNG whose header says so much; its checksum is right.
fn png_header(good: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut bytes = with(good, 16, &width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&bytes[12..29]);
    with(&bytes, 29, &sum.to_be_bytes())
}

/// CRC-32 as PNG has it (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn malformed() -> Vec<(String, Vec<u8>)> {
    let mut rng = StdRng::seed_from_u64(50);
    let jpeg = photo(&mut rng, 320, 240, 6);
    let png = encoded(picture(&mut rng, 160, 120), ImageFormat::Png);
    let webp = encoded(picture(&mut rng, 160, 120), ImageFormat::WebP);
    let mut bad = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>| bad.push((what.to_owned(), bytes));
    for (name, good) in [("jpeg", &jpeg), ("png", &png), ("webp", &webp)] {
        for percent in [1, 5, 20, 40, 60, 80, 95] {
            let end = (good.len() * percent / 100).max(13);
            add(&format!("{name}: cut at {percent} %"), good[..end].to_vec());
        }
        add(&format!("{name}: its end only"), good[20..].to_vec());
        let other = [&good[..12], &[0xa5; 4_000][..]].concat();
        add(&format!("{name}: a beginning and rubbish"), other);
    }
    // What a header may say.
    let frame = find(&jpeg, &[0xff, 0xc0]);
    add("jpeg: 65,535 × 65,535", with(&jpeg, frame + 5, &[0xff; 4]));
    add("jpeg: no width", with(&jpeg, frame + 7, &[0, 0]));
    add("jpeg: twelve channels", with(&jpeg, frame + 9, &[12]));
    add("jpeg: 16 bits", with(&jpeg, frame + 4, &[16]));
    let scan = find(&jpeg, &[0xff, 0xda]);
    add("jpeg: no scan", [&jpeg[..scan], &[0xff, 0xd9]].concat());
    add("jpeg: begins and ends", vec![0xff, 0xd8, 0xff, 0xd9]);
    add(
        "jpeg: a segment beyond the end",
        vec![0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff, 0, 0],
    );
    add("png: 100,000 × 100,000", png_header(&png, 100_000, 100_000));
    add("png: 2^31 wide", png_header(&png, i32::MAX as u32, 1));
    add("png: nothing high", png_header(&png, 160, 0));
    add("png: 16,385 wide", png_header(&png, 16_385, 1));
    add("png: a lie about its size", png_header(&png, 6_000, 20));
    add("png: a bad checksum", with(&png, 29, &[0; 4]));
    add("png: no such colour", with(&png, 25, &[9]));
    let data = find(&png, b"IDAT");
    add(
        "png: no data",
        [&png[..data - 4], &png[png.len() - 12..]].concat(),
    );
    add("png: its data damaged", with(&png, data + 40, &[0x5a; 30]));
    add("png: a chunk of 2^32", with(&png, data - 4, &[0xff; 4]));
    let vp8 = find(&webp, b"VP8");
    add("webp: no such chunk", with(&webp, vp8, b"VPxx"));
    add("webp: its data damaged", with(&webp, vp8 + 8, &[0xff; 12]));
    add(
        "webp: a chunk of four bytes",
        with(&webp, vp8 + 4, &[4, 0, 0, 0]),
    );
    let canvas = [&b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"[..], &[0xff; 6]];
    add("webp: 2^24 × 2^24", canvas.concat());
    // What is something else.
    add("nothing", Vec::new());
    add("a byte", vec![0xff]);
    add("zeros", vec![0; 100_000]);
    add("text", "这不是照片".repeat(50).into_bytes());
    add("a page", b"<html><body>404</body></html>".to_vec());
    add("a program", [b"MZ\x90\0".as_slice(), &[7; 900]].concat());
    add("an archive", [b"PK\x03\x04".as_slice(), &[7; 900]].concat());
    add("a GIF", [b"GIF89a".as_slice(), &[7; 900]].concat());
    add("a BMP", [b"BM".as_slice(), &[7; 900]].concat());
    add("a film", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec());
    add("a PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec());
    bad
}

#[test]
fn fifty_bad_pictures_and_bombs_are_refused_in_little_memory() {
    let bad = malformed();
    assert!(bad.len() >= 50, "{} of them", bad.len());
    for (what, bytes) in &bad {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let refusal = refused(bytes);
        let peak = MEMORY.peak_usage().saturating_sub(before);
        println!(
            "{what:<34} {:>7} B {peak:>9} B peak  {refusal:?}",
            bytes.len()
        );
        assert!(refusal.is_some(), "{what} was taken");
        assert!(peak <= MOST_BYTES + 4 * bytes.len(), "{what}: {peak} bytes");
    }

    // A picture of one colour is small and unpacks to very much. What is larger
    // than any camera's is refused by its header; what is not costs what its
    // pixels cost.
    let flat = |width, height| {
        encoded(
            image::RgbImage::from_pixel(width, height, image::Rgb([200, 30, 30])),
            ImageFormat::Png,
        )
    };
    let bomb = flat(9_000, 6_000);
    let media = media_of(&bomb).expect("a PNG");
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let (width, height) = (9_000, 6_000);
    let too_many = PictureError::TooManyPixels { width, height };
    assert_eq!(look(media, &bomb), Err(too_many.clone()));
    assert_eq!(copies(media, &bomb), Err(too_many));
    let peak = MEMORY.peak_usage().saturating_sub(before);
    println!("{} B for 54 million pixels, {peak} B peak", bomb.len());
    assert!(peak <= MOST_BYTES + 4 * bomb.len(), "{peak} bytes");
    drop(bomb);

    let large = flat(4_000, 3_000);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let taken = copies(media, &large).expect("a picture");
    let peak = MEMORY.peak_usage().saturating_sub(before);
    println!("{} B for 12 million pixels, {peak} B peak", large.len());
    assert!(peak <= 12_000_000 * BYTES_A_PIXEL, "{peak} bytes");
    assert!(taken.display.len() < 1 << 20);
}
