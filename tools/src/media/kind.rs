//! What bytes are, by their beginning. Nothing is decoded.

use super::Media;
use sha2::{Digest as _, Sha256};

/// The media type that the first bytes show: PNG, JPEG, WebP, GIF, BMP, WAV, Ogg, FLAC or MP3; `None` for anything else.
pub fn recognised(bytes: &[u8]) -> Option<&'static str> {
    let riff = |form: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(form);
    let mp3 = || {
        matches!(bytes, [b'I', b'D', b'3', 0..=9, ..])
            || matches!(bytes, [0xff, second, ..] if second & 0xe6 == 0xe2)
    };
    Some(match () {
        () if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => "image/png",
        () if bytes.starts_with(b"\xff\xd8\xff") => "image/jpeg",
        () if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") => "image/gif",
        () if riff(b"WEBP") => "image/webp",
        () if bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]) => "image/bmp",
        () if riff(b"WAVE") => "audio/wav",
        () if bytes.starts_with(b"OggS") => "audio/ogg",
        () if bytes.starts_with(b"fLaC") => "audio/flac",
        () if mp3() => "audio/mpeg",
        () => return None,
    })
}

/// Describes bytes. A type that the content shows counts more than the `claimed` one.
pub fn described(bytes: &[u8], claimed: &str, source: &str) -> Media {
    let known = recognised(bytes);
    let claimed: String = claimed.chars().filter(char::is_ascii_graphic).take(80).collect();
    let size = match known {
        Some(mime) if mime.starts_with("image/") => imagesize::blob_size(bytes).ok(),
        _ => None,
    };
    let side = |side: usize| u32::try_from(side).ok();
    Media {
        blob: hex::encode(Sha256::digest(bytes)),
        mime: known.map_or(claimed, str::to_owned),
        bytes: bytes.len() as u64,
        width: size.and_then(|size| side(size.width)),
        height: size.and_then(|size| side(size.height)),
        duration_ms: wav_duration_ms(bytes),
        source: source.to_owned(),
    }
}

/// The length of a WAV file by its head, in milliseconds. The size of its data may be given as larger than the file.
fn wav_duration_ms(bytes: &[u8]) -> Option<u64> {
    if recognised(bytes)? != "audio/wav" {
        return None;
    }
    let (mut at, mut rate) = (12_usize, None);
    loop {
        let head = bytes.get(at..at.checked_add(8)?)?;
        let size = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
        let body = bytes.get(at + 8..)?;
        match &head[..4] {
            b"fmt " => rate = Some(u64::from(u32::from_le_bytes(body.get(8..12)?.try_into().ok()?))),
            b"data" => return (body.len().min(size) as u64 * 1000).checked_div(rate?),
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(size)?.checked_add(size % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_not_the_claimed_type() {
        let mut bmp = b"BM".to_vec();
        bmp.extend([58_u32, 0, 54, 40, 3, 2].map(u32::to_le_bytes).concat());
        bmp.extend([1, 0, 24, 0]);
        bmp.extend([0; 40]);
        let media = described(&bmp, "image/png", "camera");
        assert_eq!((media.mime.as_str(), media.width, media.height), ("image/bmp", Some(3), Some(2)));
        let media = described(b"<svg/>", "image/svg+xml\n; evil", "camera");
        assert_eq!((media.mime.as_str(), media.width), ("image/svg+xml;evil", None));
        for text in ["BMW is a car", "ID3 tags", ""] {
            assert_eq!(recognised(text.as_bytes()), None);
        }
        assert_eq!(described(b"\x89PNG\r\n\x1a\n", "", "x").mime, "image/png");
    }

    #[test]
    fn the_length_of_a_wav_is_read_and_a_lying_head_gives_no_more_than_the_file() {
        let wav = |claimed: u32| {
            let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
            bytes.extend([8000_u32, 16000].map(u32::to_le_bytes).concat());
            bytes.extend(b"\x02\0\x10\0data");
            bytes.extend(claimed.to_le_bytes());
            bytes.extend(vec![0; 8000]);
            bytes
        };
        assert_eq!(described(&wav(8000), "", "x").duration_ms, Some(500));
        assert_eq!(described(&wav(u32::MAX), "", "x").duration_ms, Some(500));
        assert_eq!(described(&wav(8000)[..20], "", "x").duration_ms, None);
        assert_eq!(described(&wav(0), "", "x").to_string().rsplit(", ").next(), Some("0.0 s"));
    }
}
