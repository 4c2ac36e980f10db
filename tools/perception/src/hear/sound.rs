use super::lengths::Lengths;
use super::resample::Resampler;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

/// Samples a second of everything that is heard.
pub const RATE: u32 = 16_000;
/// Limit on the length of a sound, in seconds.
pub const MAX_SECONDS: u64 = 6 * 3600;
/// Sample rates that are read.
const RATES: std::ops::RangeInclusive<u32> = 4000..=384_000;
/// Limit on the channels of a sound.
const MAX_CHANNELS: usize = 64;

/// Why bytes are not a usable sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoundError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The bytes are no known sound. The name of a file does not matter.
    #[error("the data is no WAV, FLAC, MP3 or Ogg Vorbis")]
    UnknownFormat,
    /// The file has no sound, or one of an unsupported kind.
    #[error("the sound cannot be decoded: {0}")]
    Undecodable(String),
    /// The sound is too long.
    #[error("the sound is longer than {} hours; split it", MAX_SECONDS / 3600)]
    TooLong,
}

/// A sound that is decoded piece by piece: one channel, 16,000 samples a second, −1 to 1. Memory does not grow with its length.
pub struct SoundReader {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    resampler: Option<(u32, Resampler)>,
    samples: Vec<f32>,
    heard: u64,
    /// The decoder's last complaint about damaged data that was skipped.
    damage: Option<String>,
    ended: bool,
}

impl SoundReader {
    /// Opens a file: WAV, FLAC, MP3 or Ogg Vorbis, by its content.
    ///
    /// # Errors
    /// The file cannot be read, or is no such sound.
    pub fn open(path: &Path) -> Result<Self, SoundError> {
        let unreadable = |error: std::io::Error| SoundError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        Self::new(Box::new(file))
    }

    /// Opens the bytes of a file.
    ///
    /// # Errors
    /// They are no sound of a known kind.
    pub fn of(bytes: Arc<[u8]>) -> Result<Self, SoundError> {
        Self::new(Box::new(Cursor::new(bytes)))
    }

    fn new(source: Box<dyn MediaSource>) -> Result<Self, SoundError> {
        let source = Lengths::new(source)
            .map_err(|error| SoundError::Undecodable(format!("it cannot be read: {error}")))?;
        let stream = MediaSourceStream::new(
            Box::new(source),
            symphonia::core::io::MediaSourceStreamOptions::default(),
        );
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|_| SoundError::UnknownFormat)?;
        let undecodable = |reason: &str| SoundError::Undecodable(reason.to_owned());
        let track = format.default_track(TrackType::Audio).ok_or_else(|| undecodable("it has no track"))?;
        let params = track.codec_params.as_ref().and_then(CodecParameters::audio);
        let params = params.ok_or_else(|| undecodable("its track is no sound"))?;
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(params, &AudioDecoderOptions::default())
            .map_err(|error| SoundError::Undecodable(error.to_string()))?;
        let track = track.id;
        Ok(Self {
            format,
            decoder,
            track,
            resampler: None,
            samples: Vec::new(),
            heard: 0,
            damage: None,
            ended: false,
        })
    }

    /// Samples so far, as given by [`next`](Self::next).
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// The next samples; `None` at the end. Damaged packets are left out.
    ///
    /// # Errors
    /// The file is unusable from here on and had no sound before, or is too long.
    #[allow(clippy::should_implement_trait, reason = "it can fail")]
    pub fn next(&mut self) -> Result<Option<Vec<f32>>, SoundError> {
        while !self.ended {
            let mut out = Vec::new();
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track => continue,
                Ok(Some(packet)) => match self.decoder.decode(&packet) {
                    Ok(decoded) => {
                        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
                        if !RATES.contains(&rate) || !(1..=MAX_CHANNELS).contains(&channels) {
                            return Err(SoundError::Undecodable(format!(
                                "it has {rate} samples a second and {channels} channels"
                            )));
                        }
                        self.samples.resize(decoded.samples_interleaved(), 0.0);
                        decoded.copy_to_slice_interleaved(&mut self.samples);
                        let mono = mixed(&self.samples, channels);
                        if self.resampler.as_ref().is_none_or(|(known, _)| *known != rate) {
                            if let Some((_, mut before)) = self.resampler.take() {
                                before.finish(&mut out);
                            }
                            self.resampler = Some((rate, Resampler::new(rate, RATE)));
                        }
                        if let Some((_, resampler)) = &mut self.resampler {
                            resampler.push(&mono, &mut out);
                        }
                    }
                    Err(error @ (Error::DecodeError(_) | Error::IoError(_))) => {
                        self.damage = Some(error.to_string());
                    }
                    Err(error) => return Err(SoundError::Undecodable(error.to_string())),
                },
                end => {
                    self.ended = true;
                    if let Err(error) = end {
                        self.damage = Some(error.to_string());
                    }
                    if let Some((_, resampler)) = &mut self.resampler {
                        resampler.finish(&mut out);
                    }
                }
            }
            self.heard += out.len() as u64;
            if self.heard > MAX_SECONDS * u64::from(RATE) {
                return Err(SoundError::TooLong);
            }
            if !out.is_empty() {
                return Ok(Some(out));
            }
        }
        match self.damage.take() {
            Some(damage) if self.heard == 0 => Err(SoundError::Undecodable(damage)),
            _ => Ok(None),
        }
    }
}

/// The mean of all channels; what is no number becomes silence.
fn mixed(samples: &[f32], channels: usize) -> Vec<f32> {
    let mean = |frame: &[f32]| frame.iter().sum::<f32>() / channels as f32;
    let sound = |sample: f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
    samples.chunks_exact(channels).map(mean).map(sound).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_testkit::wav;

    fn tone(rate: u32, seconds: f32, channels: u16) -> Vec<i16> {
        let count = (rate as f32 * seconds) as usize;
        let sample =
            |at: usize| ((at as f32 / rate as f32 * 440.0 * std::f32::consts::TAU).sin() * 16_000.0) as i16;
        (0..count).flat_map(|at| std::iter::repeat_n(sample(at), usize::from(channels))).collect()
    }

    fn all(bytes: Vec<u8>) -> Result<Vec<f32>, SoundError> {
        let mut reader = SoundReader::of(bytes.into())?;
        let mut samples = Vec::new();
        while let Some(more) = reader.next()? {
            samples.extend(more);
        }
        Ok(samples)
    }

    #[test]
    fn a_tone_is_the_same_whatever_the_rate_and_the_channels() {
        for (rate, channels) in [(8000, 1), (11_025, 1), (16_000, 2), (44_100, 2), (48_000, 1), (44_101, 1)] {
            let samples = all(wav(rate, channels, tone(rate, 0.5, channels))).unwrap();
            assert!(samples.len().abs_diff(8000) <= 2, "{rate}: {}", samples.len());
            let wrong = samples[400..7600].iter().enumerate().map(|(at, sample)| {
                let time = (at + 400) as f32 / RATE as f32;
                (sample - (time * 440.0 * std::f32::consts::TAU).sin() * 16_000.0 / 32_768.0).abs()
            });
            let worst = wrong.fold(0.0, f32::max);
            assert!(worst < 0.01, "{rate}: {worst}");
        }
    }

    #[test]
    fn a_tone_that_the_rate_cannot_hold_is_silenced_and_not_folded_down() {
        let high: Vec<i16> = (0..24_000).map(|at| [0, 16_000, 0, -16_000][at % 4]).collect();
        let samples = all(wav(48_000, 1, high)).unwrap();
        let loudest = samples[200..7800].iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
        assert!(loudest < 0.01, "{loudest}");
    }

    #[test]
    fn what_is_no_sound_or_a_damaged_one_is_a_clear_error() {
        let error = |bytes: &[u8]| all(bytes.to_vec()).unwrap_err().to_string();
        for bytes in [&b""[..], b"no sound at all, but a text", b"\x89PNG\r\n\x1a\nis a picture"] {
            assert!(error(bytes).contains("no WAV, FLAC, MP3 or Ogg Vorbis"), "{}", error(bytes));
        }
        let whole = wav(16_000, 1, tone(16_000, 1.0, 1));
        assert!(error(&whole[..30]).starts_with("the "), "{}", error(&whole[..30]));
        // What there is of a truncated one counts.
        assert_eq!(all(whole[..44 + 16_000].to_vec()).unwrap().len(), 8000);
        assert_eq!(all(wav(16_000, 1, [])), Ok(Vec::new()));
        let error = error(&wav(100, 1, [0; 400]));
        assert!(error.contains("100 samples a second"), "{error}");
        let missing = SoundReader::open(Path::new("/nowhere/at/all.wav")).err().unwrap().to_string();
        assert!(missing.starts_with("cannot read `/nowhere/at/all.wav`"), "{missing}");
    }
}
