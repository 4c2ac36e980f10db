//! Sounds that a reader of files has to survive. The network of the fixtures takes loud frames for speech.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};
use sojourn_perception::{EarFiles, Hearing, hear};
use sojourn_tools::{
    CallContext, CallLimits, MediaInMemory, MediaStore as _, ToolCall, ToolOutcome, Toolbox,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const RATE: u32 = 16_000;

fn ears() -> Toolbox {
    let nowhere = PathBuf::from("/nowhere/at/all");
    let voice = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/voice/voice.onnx");
    let files = EarFiles { voice, writer: nowhere.clone(), vocabulary: nowhere.clone(), settings: nowhere };
    let source = hear("hear", Hearing { files, memory_mib: 1024, within: Duration::from_mins(5) });
    Toolbox::new(vec![Arc::new(source)], CallLimits::default())
}

async fn speech(bytes: Vec<u8>) -> ToolOutcome {
    let store = Arc::new(MediaInMemory::default());
    let handle = store.put(bytes, "audio/wav", "mic").unwrap().handle();
    let args = json!({"media": handle}).as_object().cloned().unwrap();
    let context = CallContext { media: Some(store.clone()), ..CallContext::default() };
    ears().validate(&ToolCall { name: "hear_speech".into(), args }).unwrap().run(context).await
}

/// The spans of speech in milliseconds, and the length of the sound.
fn spans(outcome: &ToolOutcome) -> (Vec<(u64, u64)>, u64) {
    let value = outcome.value.as_ref().unwrap_or_else(|| panic!("{}", outcome.message));
    let number = |value: &Value| value.as_u64().unwrap();
    let segments = value["segments"].as_array().unwrap().iter();
    (
        segments.map(|it| (number(&it["start_ms"]), number(&it["end_ms"]))).collect(),
        number(&value["duration_ms"]),
    )
}

/// A WAV file with each sample once for each channel.
fn wav(rate: u32, channels: u16, samples: impl Iterator<Item = i16>) -> Vec<u8> {
    sojourn_testkit::wav(rate, channels, samples.flat_map(|one| std::iter::repeat_n(one, channels.into())))
}

/// Three seconds with a tone in the second one.
fn tone(rate: u32) -> impl Iterator<Item = i16> {
    (0..3 * rate).map(move |at| {
        let sample = (f64::from(at) / f64::from(rate) * 440.0 * std::f64::consts::TAU).sin() * 12_000.0;
        if at / rate == 1 { sample as i16 } else { 0 }
    })
}

#[tokio::test]
async fn silence_has_no_speech() {
    for seconds in [0, 1, 60] {
        let outcome = speech(wav(RATE, 1, std::iter::repeat_n(0, seconds * RATE as usize))).await;
        assert_eq!((outcome.ok, outcome.message.as_str()), (true, "no speech was heard"));
        assert_eq!(spans(&outcome), (Vec::new(), seconds as u64 * 1000));
    }
}

#[tokio::test]
async fn the_same_sound_has_the_same_speech_whatever_its_rate_and_channels() {
    for (rate, channels) in [(8000, 1), (16_000, 1), (44_100, 2), (48_000, 1), (48_000, 2), (192_000, 6)] {
        let (spans, length) = spans(&speech(wav(rate, channels, tone(rate))).await);
        let [(start, end)] = spans[..] else { panic!("{rate}: {spans:?}") };
        // Frames have 32 ms, and 160 ms before and after a span belong to it.
        let near = start.abs_diff(840) <= 64 && end.abs_diff(2160) <= 64 && length.abs_diff(3000) <= 1;
        assert!(near, "{rate} × {channels}: {start} to {end} of {length}");
    }
}

#[tokio::test]
async fn a_file_that_lies_or_was_cut_off_is_heard_as_far_as_it_goes_or_a_clear_error() {
    let whole = wav(RATE, 1, tone(RATE));
    let cut = speech(whole[..44 + 3 * RATE as usize].to_vec()).await;
    assert_eq!(spans(&cut).1, 1500);
    // Lengths of the file and of its samples: unknown to who writes to a pipe, never written by who was interrupted, or wrong.
    let right = [4, 40].map(|at| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()));
    for lengths in [[u32::MAX; 2], [right[0], u32::MAX], [0, 0], [0, right[1]], [right[0], right[1] + 1000]] {
        let mut lying = whole.clone();
        for (at, length) in [4, 40].into_iter().zip(lengths) {
            lying[at..at + 4].copy_from_slice(&length.to_le_bytes());
        }
        let heard = speech(lying).await;
        assert!(heard.ok, "{lengths:?}: {}", heard.message);
        assert_eq!(spans(&heard), spans(&speech(whole.clone()).await), "{lengths:?}");
    }
    let mut odd_rate = whole.clone();
    odd_rate[24..28].copy_from_slice(&1_u32.to_le_bytes());
    for (bytes, part) in [
        (odd_rate, "1 samples a second"),
        (b"RIFF\x04\0\0\0WAVE".to_vec(), "the data is no WAV, FLAC, MP3 or Ogg Vorbis"),
        (whole[..20].to_vec(), "the data is no WAV, FLAC, MP3 or Ogg Vorbis"),
        (b"ID3\x04\0\0\0\0\0\0and then a text".to_vec(), "the data is no WAV, FLAC, MP3 or Ogg Vorbis"),
        (b"just words".to_vec(), "the data is no WAV, FLAC, MP3 or Ogg Vorbis"),
        (b"\x89PNG\r\n\x1a\n".to_vec(), "is no sound"),
    ] {
        let outcome = speech(bytes).await;
        assert!(!outcome.ok && outcome.message.contains(part), "{part}: {}", outcome.message);
    }
}

/// A FLAC file of whole seconds in which every sample is the same.
fn flac(seconds: impl Iterator<Item = i16> + Clone) -> Vec<u8> {
    let checked = |bytes: &[u8], width: u32, polynomial: u32| {
        bytes.iter().fold(0_u32, |sum, byte| {
            (0..8).fold(sum ^ (u32::from(*byte) << (width - 8)), |sum, _| {
                let shifted = sum << 1;
                (if sum >> (width - 1) & 1 == 1 { shifted ^ polynomial } else { shifted })
                    & ((1 << width) - 1)
            })
        })
    };
    let block = u16::try_from(RATE).unwrap();
    let total = seconds.clone().count() as u64 * u64::from(RATE);
    let mut file = b"fLaC\x80\0\0\x22".to_vec();
    file.extend([block.to_be_bytes(), block.to_be_bytes()].concat());
    file.extend([0; 6]);
    // The rate, one channel, 16 bits and the number of samples.
    file.extend((u64::from(RATE) << 44 | 15 << 36 | total).to_be_bytes());
    file.extend([0; 16]);
    for (number, sample) in (0_u32..).zip(seconds) {
        let mut frame = vec![0xff, 0xf8, 0x70, 0x00];
        // The number as UTF-8 would have it.
        frame.extend(char::from_u32(number).unwrap().to_string().bytes());
        frame.extend((block - 1).to_be_bytes());
        frame.push(checked(&frame, 8, 0x07) as u8);
        frame.push(0);
        frame.extend(sample.to_be_bytes());
        let sum = checked(&frame, 16, 0x8005) as u16;
        frame.extend(sum.to_be_bytes());
        file.extend(frame);
    }
    file
}

/// Largest memory of this process so far, in bytes.
#[cfg(target_os = "linux")]
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn two_hours_need_no_more_memory_than_a_minute() {
    sojourn_testkit::alone!("two_hours_need_no_more_memory_than_a_minute", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let hear = |seconds: u64, loud: std::ops::Range<u64>| {
            let sound = flac((0..seconds).map(|second| if loud.contains(&second) { 8000 } else { 0 }));
            spans(&runtime.block_on(speech(sound)))
        };
        assert_eq!(hear(60, 10..12).1, 60_000);
        let before = most_memory();
        let (spans, length) = hear(7200, 7000..7005);
        assert_eq!(length, 7_200_000);
        let [(start, end)] = spans[..] else { panic!("{spans:?}") };
        assert!(start.abs_diff(6_999_840) <= 64 && end.abs_diff(7_005_160) <= 64, "{start} to {end}");
        let more = most_memory() - before;
        // All samples at once would be 460 MB.
        assert!(more < 48 << 20, "{more} bytes more");
    });
}
