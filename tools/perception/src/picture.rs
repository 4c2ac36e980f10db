use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage};
use std::io::Cursor;

/// Limit on the size of a picture file, in bytes.
pub const MAX_FILE_BYTES: u64 = 32 << 20;
/// Limit on the pixels of a picture.
pub const MAX_PIXELS: u64 = 40_000_000;
/// Limit on one side of a picture, in pixels.
const MAX_SIDE: u32 = 16_384;
/// Limit on what a decoder may allocate, in bytes: 16-bit RGBA of the largest picture, and its rows once more.
const MAX_ALLOCATED: u64 = 384 << 20;

/// A decoded picture: upright, opaque, 8 bits per channel. An animation is its first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub(crate) rgb: RgbImage,
}

/// Why bytes are not a usable picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The file is too large.
    #[error("the file has {bytes} bytes; the limit for a picture is {MAX_FILE_BYTES}")]
    FileTooLarge {
        /// Size of the file.
        bytes: u64,
    },
    /// The bytes begin like no known format. The name of a file does not matter.
    #[error("the data is no PNG, JPEG, WebP, GIF or BMP")]
    UnknownFormat,
    /// The picture has too many pixels.
    #[error(
        "the picture has {width}×{height} pixels; the limits are {MAX_PIXELS} in all and {MAX_SIDE} a side"
    )]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The file is truncated, damaged, or uses an unsupported variant of its format.
    #[error("the {format} file cannot be decoded: {reason}")]
    Damaged {
        /// Name of the format: "PNG".
        format: &'static str,
        /// The decoder's message.
        reason: String,
    },
}

impl Picture {
    /// Decodes a file. Its format is recognised by its content, EXIF rotation is applied, and transparent pixels are laid on white.
    ///
    /// # Errors
    /// [`PictureError`], before memory is allocated for a picture above the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, PictureError> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(PictureError::FileTooLarge { bytes: bytes.len() as u64 });
        }
        let format = image::guess_format(bytes).ok().and_then(|format| Some((format, name(format)?)));
        let (format, name) = format.ok_or(PictureError::UnknownFormat)?;
        let damaged =
            |error: image::ImageError| PictureError::Damaged { format: name, reason: error.to_string() };
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_ALLOCATED);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels > MAX_PIXELS || width.max(height) > MAX_SIDE {
            return Err(PictureError::TooManyPixels { width, height });
        }
        if pixels == 0 {
            return Err(PictureError::Damaged { format: name, reason: "it has no pixels".to_owned() });
        }
        if format == ImageFormat::Jpeg && !ends(bytes) {
            let reason = "it ends before the picture does".to_owned();
            return Err(PictureError::Damaged { format: name, reason });
        }
        // Damaged metadata does not make a picture unreadable.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut decoded = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        decoded.apply_orientation(orientation);
        Ok(Self { rgb: opaque(decoded) })
    }

    /// Red, green and blue of each pixel, row by row from the top left.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb.into_raw()
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.rgb.width()
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.rgb.height()
    }

    /// The picture with its longest side at most `most` pixels, at least 1. Smaller ones stay as they are.
    #[must_use]
    pub fn scaled_to(self, most: u32) -> Self {
        let longest = self.width().max(self.height());
        let most = most.max(1);
        if longest <= most {
            return self;
        }
        let side = |side: u32| {
            let scaled = u64::from(side) * u64::from(most) / u64::from(longest);
            u32::try_from(scaled).unwrap_or(most).max(1)
        };
        let (width, height) = (side(self.width()), side(self.height()));
        Self { rgb: image::imageops::resize(&self.rgb, width, height, FilterType::Triangle) }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn to_png(&self) -> Result<Vec<u8>, PictureError> {
        let mut file = Cursor::new(Vec::new());
        self.rgb
            .write_to(&mut file, ImageFormat::Png)
            .map_err(|error| PictureError::Damaged { format: "PNG", reason: error.to_string() })?;
        Ok(file.into_inner())
    }
}

fn name(format: ImageFormat) -> Option<&'static str> {
    Some(match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        _ => return None,
    })
}

/// Whether a JPEG has its end mark. The decoder fills the missing part of a truncated picture with grey, so the picture would look whole.
fn ends(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some(found) = jpeg.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xff)) {
        at += found + 1;
        match jpeg.get(at) {
            Some(0xd9) => return true,
            // The next byte may be the mark's.
            Some(0xff) => {}
            // Within the coded picture: a byte of 255, and restart markers.
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            // A segment with its length. Its content may look like markers: EXIF has small pictures.
            Some(_) => {
                let length =
                    jpeg.get(at + 1..at + 3).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])));
                at += 1 + length.max(2);
            }
            None => break,
        }
    }
    jpeg.ends_with(&[0xff, 0xd9])
}

fn opaque(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0.map(u32::from);
        let on_white = |channel: u32| ((channel * alpha + 255 * (255 - alpha)) / 255) as u8;
        image::Rgb([on_white(r), on_white(g), on_white(b)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient() -> DynamicImage {
        RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, 90])).into()
    }

    const FORMATS: [ImageFormat; 5] =
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp];

    #[test]
    fn every_format_is_read_by_its_content_and_a_truncated_file_is_an_error() {
        for format in FORMATS {
            let bytes = encoded(&gradient(), format);
            let picture = Picture::decode(&bytes).unwrap();
            assert_eq!((picture.width(), picture.height()), (40, 30), "{format:?}");
            for kept in [3, 12, bytes.len() / 3, bytes.len() * 2 / 3] {
                assert!(Picture::decode(&bytes[..kept]).is_err(), "{format:?} {kept}");
            }
        }
    }

    #[test]
    fn the_end_of_a_small_picture_within_a_jpeg_is_not_its_own() {
        let whole = encoded(&gradient(), ImageFormat::Jpeg);
        let mut with_small = whole[..2].to_vec();
        with_small.extend(b"\xff\xe1\0\x08ab\xff\xd9\xff\xd9");
        with_small.extend(&whole[2..]);
        // A mark with fill bytes before it, and bytes after the end.
        let end = with_small.len() - 2;
        with_small.splice(end..end, [0xff, 0xff]);
        with_small.extend(b"more");
        assert!(Picture::decode(&with_small).is_ok());
        let cut = Picture::decode(&with_small[..end - 20]).unwrap_err().to_string();
        assert_eq!(cut, "the JPEG file cannot be decoded: it ends before the picture does");
    }

    #[test]
    fn a_large_picture_is_scaled_down_and_a_small_one_stays_as_it_is() {
        let picture = || Picture::decode(&encoded(&gradient(), ImageFormat::Bmp)).unwrap();
        let sizes = |picture: Picture| (picture.width(), picture.height());
        assert_eq!(sizes(picture().scaled_to(20)), (20, 15));
        assert_eq!(sizes(picture().scaled_to(0)), (1, 1));
        let same = Picture::decode(&picture().scaled_to(40).to_png().unwrap()).unwrap();
        assert_eq!(same, picture());
    }

    #[test]
    fn a_picture_of_one_pixel_and_sixteen_bits_is_read() {
        let deep = image::ImageBuffer::<image::Rgb<u16>, _>::from_pixel(1, 1, image::Rgb([65535, 0, 32768]));
        let picture = Picture::decode(&encoded(&deep.into(), ImageFormat::Png)).unwrap();
        assert_eq!(picture.rgb.get_pixel(0, 0).0, [255, 0, 128]);
    }

    #[test]
    fn transparent_pixels_are_laid_on_white() {
        let clear = image::RgbaImage::from_pixel(2, 2, image::Rgba([0, 0, 0, 0]));
        let picture = Picture::decode(&encoded(&clear.into(), ImageFormat::Png)).unwrap();
        assert_eq!(picture.rgb.get_pixel(1, 1).0, [255, 255, 255]);
    }

    #[test]
    fn a_decompression_bomb_is_refused_by_its_head() {
        // The head of a BMP of 20,000 × 20,000 pixels, and nothing else.
        let mut bomb = b"BM".to_vec();
        bomb.extend([[58_u32, 0, 54, 40, 20_000, 20_000].map(u32::to_le_bytes).concat()].concat());
        bomb.extend([1, 0, 24, 0]);
        bomb.extend([0; 28]);
        let error = Picture::decode(&bomb).unwrap_err();
        assert_eq!(error, PictureError::TooManyPixels { width: 20_000, height: 20_000 });
    }

    #[test]
    fn an_animation_is_its_first_frame() {
        let frame = |colour| image::Frame::new(image::RgbaImage::from_pixel(5, 4, image::Rgba(colour)));
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        encoder.encode_frames([frame([255, 0, 0, 255]), frame([0, 0, 255, 255])]).unwrap();
        drop(encoder);
        let picture = Picture::decode(&bytes).unwrap();
        assert_eq!((picture.width(), picture.height(), picture.rgb.get_pixel(2, 2).0), (5, 4, [255, 0, 0]));
    }

    #[test]
    fn the_four_inks_of_a_cmyk_picture_become_three_colours() {
        let mut jpeg = b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0\xff\xdb\0\x43\0".to_vec();
        jpeg.extend([1; 64]);
        // 8 × 8 pixels of four components, one block each.
        jpeg.extend(b"\xff\xc0\0\x14\x08\0\x08\0\x08\x04\x01\x11\0\x02\x11\0\x03\x11\0\x04\x11\0");
        for class in [0x00, 0x10] {
            jpeg.extend([0xff, 0xc4, 0, 0x14, class, 1]);
            jpeg.extend([0; 16]);
        }
        // Coefficients of 0, so every sample has the middle value.
        jpeg.extend(b"\xff\xda\0\x0e\x04\x01\0\x02\0\x03\0\x04\0\0\x3f\0\0\xff\xd9");
        let picture = Picture::decode(&jpeg).unwrap();
        let [r, g, b] = picture.rgb.get_pixel(3, 3).0;
        assert!(r == g && g == b && (56..=72).contains(&r), "{r} {g} {b}");
    }

    #[test]
    fn exif_rotation_is_applied() {
        let jpeg = encoded(&gradient(), ImageFormat::Jpeg);
        // An APP1 segment with the one tag 0x0112 (orientation) = 6: turn by 90 degrees clockwise.
        let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        let mut turned = jpeg[..2].to_vec();
        turned.extend([0xff, 0xe1, length[0], length[1]]);
        turned.append(&mut exif);
        turned.extend(&jpeg[2..]);
        let picture = Picture::decode(&turned).unwrap();
        assert_eq!((picture.width(), picture.height()), (30, 40));
    }
}
