//! Readers of pictures and sounds.

use sojourn_perception::{Picture, SoundReader};
use sojourn_tools::media::described;

/// A PNG, a GIF, a BMP and a WAV, all small.
pub fn files() -> Vec<Vec<u8>> {
    let png = include_bytes!("../../../examples/documents/scans/letter.png").to_vec();
    let gif = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;".to_vec();
    let mut bmp = b"BM".to_vec();
    bmp.extend([58_u32, 0, 54, 40, 1, 1].map(u32::to_le_bytes).concat());
    bmp.extend([1, 0, 24, 0]);
    bmp.extend([0; 28]);
    let mut wav = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    wav.extend([8000_u32, 16000].map(u32::to_le_bytes).concat());
    wav.extend(b"\x02\0\x10\0data\x08\0\0\0\0\0\x01\0\x02\0\x03\0");
    vec![png, gif, bmp, wav]
}

pub fn media(input: &[u8]) {
    let _ = described(input, "image/png", "fuzzer").to_string();
}

/// The beginnings of a FLAC, an Ogg and an MP3 file beside those above.
pub fn sounds() -> Vec<Vec<u8>> {
    let mut flac = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0a\xc4\x40\xf0\0\0\0\x10".to_vec();
    flac.extend([0; 16]);
    flac.extend(b"\xff\xf8\x69\x08\0\0\0\0\0\0");
    let ogg = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x1e\x01vorbis".to_vec();
    let mut mp3 = b"ID3\x03\0\0\0\0\0\0".to_vec();
    for _ in 0..3 {
        mp3.extend(b"\xff\xfb\x90\xc4");
        mp3.extend([0; 413]);
    }
    files().into_iter().skip(3).chain([flac, ogg, mp3]).collect()
}

pub fn sound(input: &[u8]) {
    let Ok(mut sound) = SoundReader::of(input.into()) else { return };
    // A damaged file may claim to be long.
    for _ in 0..64 {
        if !matches!(sound.next(), Ok(Some(_))) {
            break;
        }
    }
}

pub fn picture(input: &[u8]) {
    let _ = Picture::decode(input);
}
